/* SPDX-License-Identifier: MIT */
/* Command lines as text, against programs in a folder of their own. */
#include "os/engine_command.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "conf/option.h"

#define BUILT "wasmrun/wasmtime-cli-48.0.8/bin"

struct fixture {
	char dir[64];
	struct option_list dirs, env, headers;
	struct engine_config config;
};

static void write_program(const struct fixture *f, const char *name, const void *text, size_t len)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

/* It is enough that ld.so(8) would be what starts it; nobody asks the built one for its version. */
static void write_dynamic(const struct fixture *f, const char *name)
{
	static const unsigned char header[64 + 56 + 4] = { 0x7f, 'E', 'L', 'F', 2,
		1, [32] = 64, [54] = 56, [56] = 1, [64] = 3, [64 + 8] = 64 + 56, [64 + 32] = 4,
		[64 + 56] = '/', 'l', 'd' };

	write_program(f, name, header, sizeof header);
}

/* An ELF program of 64 bits without segments: it is statically linked. */
static void write_static(const struct fixture *f, const char *name)
{
	static const unsigned char header[64] = { 0x7f, 'E', 'L', 'F', 2, 1, [54] = 56 };

	write_program(f, name, header, sizeof header);
}

static int setup(void **state)
{
	static const char *const folders[] = { "wasmrun", "wasmrun/wasmtime-cli-48.0.8", BUILT,
		"own" };
	struct fixture *f = calloc(1, sizeof *f);
	char path[PATH_MAX];

	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/test_engine.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof path, "%s/%s", f->dir, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	setenv("PATH", path, 1);
	setenv("XDG_CACHE_HOME", f->dir, 1);
	f->config = (struct engine_config){ .module = "app.wasm",
		.guest_program = "guest",
		.cache_dir = "/cache",
		.empty_dir = "/empty",
		.dirs = &f->dirs,
		.env = &f->env,
		.listen_fd = -1,
		.status_fd = -1,
		.broker_fd = -1,
		.addr = "127.0.0.1:80" };
	*state = f;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

static void join(const struct engine_words *words, char *text, size_t size)
{
	size_t len = 0;

	*text = '\0';
	for (size_t i = 0; i < words->count && len < size; i++)
		len += (size_t)snprintf(
			text + len, size - len, "%s%s", i ? " " : "", words->items[i]);
	assert_null(words->items[words->count]);
}

static void assert_command(const struct fixture *f, const char *argv, const char *env)
{
	_cleanup_(engine_command_deinit) struct engine_command command = { 0 };
	char why[APP_WHY_MAX], text[4096];

	assert_int_equal(engine_command_init(&command, &f->config, why), 0);
	join(&command.argv, text, sizeof text);
	assert_string_equal(text, argv);
	join(&command.env, text, sizeof text);
	assert_string_equal(text, env);
}

static void test_guest(void **state)
{
	static const char *const args[] = { "-x", "y" };
	struct fixture *f = *state;

	f->config.interface = APP_LISTENER;
	assert_command(f, "guest --cache=/cache -- app.wasm", "");
	f->config.quick = true;
	assert_command(f, "guest --cache=/cache --quick -- app.wasm", "");
	f->config.compile = true;
	assert_command(f, "guest --compile --cache=/cache --quick -- app.wasm", "");
	f->config.compile = false;
	f->config.quick = false;
	f->dirs = (struct option_list){ (const char *[]){ "a::b" }, 1 };
	f->config.args = args;
	f->config.arg_count = 2;
	f->config.listen_fd = 3;
	f->config.status_fd = 4;
	f->config.broker_fd = 5;
	assert_command(f,
		"guest --listen-fd=3 --status-fd=4 --broker-fd=5 --empty=/empty --cache=/cache "
		"--dir a::b -- app.wasm -x y",
		"");
	f->config.broker_fd = -1;
	f->config.interface = APP_CGI;
	f->config.cache_dir = NULL;
	assert_command(f,
		"guest --cgi --timeout=none --listen-fd=3 --status-fd=4 "
		"--dir a::b -- app.wasm -x y",
		"");
	f->config.request_timeout_ms = 90000;
	assert_command(f,
		"guest --cgi --timeout=90s --listen-fd=3 --status-fd=4 "
		"--dir a::b -- app.wasm -x y",
		"");
	f->config.interface = APP_FILES;
	assert_command(f,
		"guest --files --listen-fd=3 --status-fd=4 "
		"--dir a::b -- app.wasm -x y",
		"");
	f->headers = (struct option_list){ (const char *[]){ "A: b", "C: d" }, 2 };
	f->config.headers = &f->headers;
	f->config.fallback = "index.html";
	assert_command(f,
		"guest --files --fallback=index.html --header=A: b --header=C: d --listen-fd=3 "
		"--status-fd=4 --dir a::b -- app.wasm -x y",
		"");
	/* Of nobody else. */
	f->config.interface = APP_CGI;
	assert_command(f,
		"guest --cgi --timeout=90s --listen-fd=3 --status-fd=4 "
		"--dir a::b -- app.wasm -x y",
		"");
}

/* Behind the wall a module's sockets are the broker's, or nobody's. */
static void test_sockets(void **state)
{
	struct fixture *f = *state;

	f->config.broker_fd = 5;
	f->config.interface = APP_SOCKETS;
	assert_command(f, "guest --broker-fd=5 --cache=/cache -- app.wasm", "");
	f->config.walled = true;
	assert_command(f, "guest --broker-fd=5 --cache=/cache -- app.wasm", "");
	f->config.broker_fd = -1;
	assert_command(f, "guest --walled --cache=/cache -- app.wasm", "");
	f->config.walled = false;
	assert_command(f, "guest --cache=/cache -- app.wasm", "");
}

/* A value stands where nobody else can read it, unless the engine would take it for its own. */
static void test_env(void **state)
{
	struct fixture *f = *state;

	f->env = (struct option_list){ (const char *[]){ "KEY=1", "LD_PRELOAD=x", "KEY=a=b",
					       "KEYS=", "HOME=/", "HOMES=2", "a.b=1", "1st=2" },
		8 };
	assert_command(f,
		"guest --cache=/cache --env LD_PRELOAD=x --env KEY --env "
		"KEYS --env HOME=/ --env HOMES --env a.b --env 1st -- app.wasm",
		"KEY=a=b KEYS= HOMES=2 a.b=1 1st=2");
}

static void assert_refused(const struct fixture *f, int r, const char *line)
{
	_cleanup_(engine_command_deinit) struct engine_command command = { 0 };
	char why[APP_WHY_MAX];

	assert_int_equal(engine_command_init(&command, &f->config, why), r);
	if (!strstr(why, line))
		assert_string_equal(why, line);
}

static void test_built(void **state)
{
	struct fixture *f = *state;
	char argv[512];

	write_dynamic(f, BUILT "/wasmtime");
	f->config.preload = "/lib.so";
	f->config.interface = APP_HTTP;
	snprintf(argv, sizeof argv,
		"%s/" BUILT "/wasmtime serve --addr=127.0.0.1:80 --no-logging-prefix -Scli "
		"-Wmax-memory-size=1073741824 -- app.wasm",
		f->dir);
	assert_command(f, argv,
		"LD_PRELOAD=/lib.so TOKIO_WORKER_THREADS=16 WASMRUN_REQUEST_TIMEOUT=0 HOME=/cache");
	f->config.interface = APP_COMMAND;
	f->config.cache_dir = NULL;
	snprintf(argv, sizeof argv,
		"%s/" BUILT "/wasmtime run -Sinherit-network,allow-ip-name-lookup,tcp,udp,http "
		"-Ccache=n -Wmax-memory-size=1073741824 -- app.wasm",
		f->dir);
	assert_command(f, argv, "LD_PRELOAD=/lib.so");
	f->config.preload = "/a b/lib.so";
	assert_refused(f, -EINVAL, "a folder with a space or a colon in its name");
}

static void test_refused(void **state)
{
	static const char *const args[] = { "x" };
	struct fixture *f = *state;

	f->config.interface = APP_HTTP;
	assert_refused(f, -ENOENT,
		"a component needs the command wasmtime, version 48.0.1 or newer, and 'wasmtime' "
		"is "
		"not on PATH: the installer of wasmtime.dev brings it in a minute, or script/setup "
		"--components builds it in half an hour, as '/tmp/test_engine.");
	write_static(f, "own/wasmtime");
	write_static(f, BUILT "/wasmtime");
	assert_refused(f, -ENOENT, "own/wasmtime' is statically linked, and can't be sealed");
	write_dynamic(f, BUILT "/wasmtime");
	f->config.preload = "/lib.so";
	f->config.args = args;
	f->config.arg_count = 1;
	assert_refused(f, -EINVAL, "a component that serves wasi:http takes no arguments");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_guest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sockets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_env, setup, teardown),
		cmocka_unit_test_setup_teardown(test_built, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
