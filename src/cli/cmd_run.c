/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun run`: becomes the engine, wasmrun-guest or wasmtime, so that streams, signals, terminal
 * and exit code are the module's own. It comes back only if that fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/cache_dir.h"
#include "app/language.h"
#include "app/module.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "cli/run_broker.h"
#include "cli/run_compile.h"
#include "cli/runtime.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "net/host.h"
#include "net/addr.h"
#include "net/listener.h"
#include "os/compile.h"
#include "os/engine_command.h"
#include "os/network_options.h"
#include "os/run_check.h"
#include "os/wall.h"
#include "sandbox/spawn.h"

struct run_values {
	const char *file, *listen;
	struct option_list dirs, env;
	struct os_network_config network;
	bool no_isolation;
};

static const struct option_def run_options[] = {
	{ .name = "FILE",
		.type = OPTION_FILE,
		.positional = true,
		.required = true,
		.help = "The preview 1 module or component; what follows are its arguments",
		.offset = offsetof(struct run_values, file) },
	NETWORK_ALLOW_NET(struct run_values, network),
	NETWORK_BIND_PORT(struct run_values, network),
	NETWORK_CONNECTION_TIMEOUT_SECS(struct run_values, network),
	NETWORK_DENY_NET(struct run_values, network),
	{ .name = "dir",
		.type = OPTION_FOLDERS,
		.value_name = "HOST::GUEST",
		.check = run_check_folder,
		.help = "A folder that the module may use, and its name there; may be repeated",
		.offset = offsetof(struct run_values, dirs) },
	{ .name = "env",
		.type = OPTION_LIST,
		.value_name = "NAME=VALUE",
		.check = run_check_variable,
		.help = "A variable for the module, which sees none of yours; may be repeated",
		.offset = offsetof(struct run_values, env) },
	{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },
	{ .name = "listen",
		.type = OPTION_TEXT,
		.value_name = "ADDR:PORT",
		.check = host_check,
		.form = HOST_ADDRESS_PORT,
		.help = "Listen there, and hand a module the socket, as the first descriptor "
			"behind its folders, a component as what it binds first or as what "
			"wasi:http comes from; port 0 is any",
		.offset = offsetof(struct run_values, listen) },
	NETWORK_MAX_BANDWIDTH_MBPS(struct run_values, network),
	NETWORK_MAX_CONNECTIONS(struct run_values, network),
	{ .name = "no-isolation",
		.type = OPTION_FLAG,
		.env = "WASMRUN_NO_ISOLATION",
		.help = "Run the module with all of your rights: it reaches your files and your "
			"network",
		.offset = offsetof(struct run_values, no_isolation) },
};

const struct option_table run_table = {
	.program = "wasmrun",
	.command = "run",
	.summary = "Run one module in the foreground, with its own streams and exit code",
	.defs = run_options,
	.count = ARRAY_LEN(run_options),
	.rest = "ARGS",
};

/* The socket is one for the next program, and so not CLOEXEC. */
static int run_listen(struct addr *addr, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	char text[ADDR_TEXT_MAX];
	int r = listener_socket(addr, LISTENER_BACKLOG, &fd);

	if (r == 0 && fcntl(fd, F_SETFD, 0) < 0)
		r = -errno;
	if (r < 0)
		return runtime_listen_error(r, addr, "--listen");
	log_info("run", "listening at %s", addr_format(addr, text));
	*ret_fd = take_fd(&fd);
	return EXIT_CODE_OK;
}

/* A module of which nobody has said anything has no connections, and needs nobody to make them. */
static int run_start_broker(const struct run_values *values, const struct addr *addr,
	struct engine_config *config, char *ret_why)
{
	const struct os_network_config *n = &values->network;
	int r = 0;

	if (values->no_isolation || (!n->allow.count && !n->deny.count && !n->bind_ports.count))
		return 0;
	r = run_broker_start(n, config->listen_fd, addr, &config->broker_fd);
	if (r < 0)
		snprintf(ret_why, APP_WHY_MAX, "the module's broker can't begin: %s", strerror(-r));
	return r;
}

/* `sound`: nothing was found to be wrong with the module by now; `addr`: of --listen. */
static int run_exec(const struct run_values *values, struct engine_config *config, bool sound,
	const struct addr *addr)
{
	const bool no_isolation = values->no_isolation;
	_cleanup_(engine_command_deinit) struct engine_command command = { 0 };
	_cleanup_(compile_deinit) struct compile compile = { 0 };
	_cleanup_(freep) char *empty = NULL;
	const struct wall_config wall_config = { .engine = config, .command = &command };
	struct spawn_wall wall = { .file_rules = -1 };
	struct spawn_failure failure;
	char why[APP_WHY_MAX];
	int r = sound ? run_compile(config, no_isolation, &compile) : EXIT_CODE_OK;

	if (r != EXIT_CODE_OK)
		return r;
	if (config->listen_fd >= 0)
		r = cache_dir_make("empty", &empty, why);
	config->cache_dir = compile.entry;
	config->empty_dir = empty;
	if (r == 0)
		r = run_start_broker(values, addr, config, why);
	if (r == 0)
		r = engine_command_init(&command, config, why);
	if (no_isolation)
		log_warn("run", "%s", WALL_NONE);
	else if (r == 0)
		r = wall_open(&wall_config, &wall, why);
	if (r == 0) {
		const struct spawn_config spawn = {
			.argv = (const char *const *)command.argv.items,
			.env = (const char *const *)command.env.items,
			.wall = no_isolation ? NULL : &wall,
		};
		spawn_become(&spawn, &failure);
		spawn_explain(&failure, why, sizeof why);
	}
	log_error("run", "%s", why);
	return EXIT_CODE_FAILED;
}

static void run_values_clear(struct run_values *values)
{
	option_values_clear(&run_table, values);
}

int cmd_run(const struct program *program, int argc, char **argv)
{
	_cleanup_(fd_closep) int listen_fd = -1;
	_cleanup_(run_values_clear) struct run_values values = { 0 };
	struct engine_config config;
	struct module_info info;
	struct option_set set;
	struct host host = { 0 };
	char why[APP_WHY_MAX], text[ADDR_TEXT_MAX];
	bool sound;
	int code;

	if (!usage_parse(&set, &run_table, &values, argc, argv, &code))
		return code;
	if (network_settings_check(&values.network, &set) != 0)
		return usage_error(&set);
	/* What else a shell or an editor has left open leads past the wall. */
	if (!values.no_isolation)
		(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	config = (struct engine_config){ .module = values.file,
		.dirs = &values.dirs,
		.env = &values.env,
		.args = (const char *const *)set.rest,
		.status_fd = -1,
		.broker_fd = -1,
		.walled = !values.no_isolation,
		.addr = text };
	/* What is wrong with a file wasmrun-guest says, too, and has an exit code for each. */
	sound = module_inspect(values.file, &info, why) == 0;
	config.interface = info.interface;
	if (!values.listen && (config.interface == APP_HTTP || config.interface == APP_FILES)) {
		(void)option_set_refuse_given(
			&set, "FILE", values.file, "it serves HTTP, and --listen says where");
		return usage_error(&set);
	}
	if (values.listen) {
		host = host_of(HOST_ADDRESS_PORT, values.listen);
		code = run_listen(&host.addr, &listen_fd);
		if (code != EXIT_CODE_OK)
			return code;
	}
	while (set.rest[config.arg_count])
		config.arg_count++;
	config.listen_fd = listen_fd;
	/* One of a component may end the whole, and nobody is there to start it again. */
	if (config.interface == APP_CGI)
		config.request_timeout_ms = APP_REQUEST_TIMEOUT_S * 1000;
	if (values.listen)
		addr_format(&host.addr, text);
	if (config.interface == APP_CGI && config.listen_fd >= 0)
		log_info("run", "%s",
			module_hint(&info, config.interface,
				LANGUAGE_FIRST_FD + (unsigned)config.dirs->count, why));
	return run_exec(&values, &config, sound, &host.addr);
}
