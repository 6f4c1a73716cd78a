/* SPDX-License-Identifier: MIT */
/* The same settings from each source give the same struct, and mistakes are told. */
#include "os/run_config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"

#include "app/module.h"
#include "os/engine_command.h"
#include "os/network.h"
#include "serve/field.h"

#define ARGS_MAX 64
#define LINE_MAX_LEN 1024

struct reading {
	char dir[64], file[128];
	char line[LINE_MAX_LEN]; /* the texts of argv */
	struct os_run_config config;
	struct option_set set;
};

static void clear_env(void)
{
	unsetenv("WASMRUN_EXPOSE");
	unsetenv("WASMRUN_NO_ISOLATION");
	unsetenv("WASMRUN_TUNNEL_RETRY");
	unsetenv("WASMRUN_TUNNEL_SERVER");
	unsetenv("WASMRUN_TUNNEL_SECRET");
}

static void reading_init(struct reading *r)
{
	clear_env();
	*r = (struct reading){ .dir = "/tmp/test_run_config.XXXXXX" };
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->file, sizeof r->file, "%s/wasmrun.toml", r->dir);
}

static void reading_deinit(struct reading *r)
{
	os_run_config_deinit(&r->config);
	unlink(r->file);
	rmdir(r->dir);
}

static void write_file(struct reading *r, const char *text)
{
	FILE *out = fopen(r->file, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

/* `args` are words with one space between; the project is the reading's folder. */
static int read_args(struct reading *r, const char *args)
{
	char *argv[ARGS_MAX] = { (char[]){ "os" }, (char[]){ "-p" }, r->dir };
	int argc = 3;

	snprintf(r->line, sizeof r->line, "%s", args);
	for (char *word = strtok(r->line, " "); word; word = strtok(NULL, " ")) {
		assert_true(argc < ARGS_MAX - 1);
		argv[argc++] = word;
	}
	return os_run_config_read(&r->config, &r->set, argc, argv);
}

static void assert_lists_equal(const struct option_list *a, const struct option_list *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_string_equal(a->items[i], b->items[i]);
}

static void assert_texts_equal(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void assert_configs_equal(const struct os_run_config *a, const struct os_run_config *b)
{
	assert_int_equal(a->expose, b->expose);
	assert_int_equal(a->tunnel_retry, b->tunnel_retry);
	assert_string_equal(a->tunnel_server, b->tunnel_server);
	assert_int_equal(a->tunnel_secret.set, b->tunnel_secret.set);
	assert_texts_equal(a->tunnel_secret.text, b->tunnel_secret.text);
	assert_int_equal(a->tunnel_port, b->tunnel_port);
	assert_int_equal(a->tunnel_protocol, b->tunnel_protocol);
	assert_string_equal(a->listen, b->listen);
	assert_int_equal(a->http_port, b->http_port);
	assert_int_equal(a->expire_ms, b->expire_ms);
	assert_texts_equal(a->app.build, b->app.build);
	assert_texts_equal(a->app.wasm, b->app.wasm);
	assert_lists_equal(&a->app.args, &b->app.args);
	assert_lists_equal(&a->app.env, &b->app.env);
	assert_lists_equal(&a->app.dirs, &b->app.dirs);
	assert_texts_equal(a->app.fallback, b->app.fallback);
	assert_lists_equal(&a->app.headers, &b->app.headers);
	assert_int_equal(a->app.port, b->app.port);
	assert_int_equal(a->app.request_timeout_ms, b->app.request_timeout_ms);
	assert_lists_equal(&a->network.allow, &b->network.allow);
	assert_lists_equal(&a->network.deny, &b->network.deny);
	assert_lists_equal(&a->network.bind_ports, &b->network.bind_ports);
	assert_int_equal(a->network.max_connections, b->network.max_connections);
	assert_int_equal(a->network.max_bandwidth_mbps, b->network.max_bandwidth_mbps);
	assert_int_equal(a->network.connection_timeout_secs, b->network.connection_timeout_secs);
	assert_int_equal(a->app.has_kind, b->app.has_kind);
	assert_int_equal(a->app.kind, b->app.kind);
	assert_int_equal(a->open, b->open);
	assert_int_equal(a->quiet, b->quiet);
	assert_int_equal(a->verbose, b->verbose);
}

static void test_defaults(void **state)
{
	struct reading r;

	reading_init(&r);
	assert_int_equal(read_args(&r, ""), 0);
	assert_string_equal(r.config.project_path, r.dir);
	assert_false(r.config.expose);
	assert_false(r.config.tunnel_retry);
	assert_string_equal(r.config.tunnel_server, "bore.pub:7835");
	assert_false(r.config.tunnel_secret.set);
	assert_string_equal(r.config.listen, "127.0.0.1");
	assert_int_equal(r.config.http_port, 8420);
	assert_int_equal(r.config.expire_ms, 0);
	assert_int_equal(r.config.app.args.count, 0);
	assert_false(r.config.app.has_kind);
	assert_int_equal(r.config.app.request_timeout_ms, APP_REQUEST_TIMEOUT_S * 1000);
	assert_false(r.config.open);
	assert_int_equal(r.config.network.allow.count, 0);
	assert_int_equal(r.config.network.max_connections, 256);
	assert_int_equal(r.config.network.max_bandwidth_mbps, 0);
	assert_int_equal(r.config.network.connection_timeout_secs, 30);
	reading_deinit(&r);
}

/* The settings that have all three sources. */
static void test_equal_sources(void **state)
{
	struct reading by_arg, by_env, by_file;

	reading_init(&by_arg);
	assert_int_equal(read_args(&by_arg,
				 "--expose --tunnel-server relay.example:7000 --tunnel-secret hush "
				 "--tunnel-retry"),
		0);
	reading_init(&by_env);
	setenv("WASMRUN_EXPOSE", "1", 1);
	setenv("WASMRUN_TUNNEL_RETRY", "1", 1);
	setenv("WASMRUN_TUNNEL_SERVER", "relay.example:7000", 1);
	setenv("WASMRUN_TUNNEL_SECRET", "hush", 1);
	assert_int_equal(read_args(&by_env, ""), 0);
	/* Its text would go with the variable. */
	by_env.config.tunnel_server = strdup(by_env.config.tunnel_server);
	reading_init(&by_file);
	write_file(&by_file, "[os]\nexpose = true\ntunnel_server = 'relay.example:7000'\n"
			     "tunnel_secret = 'hush'\ntunnel_retry = true\n");
	assert_int_equal(read_args(&by_file, ""), 0);

	assert_true(by_arg.config.expose);
	assert_true(by_arg.config.tunnel_retry);
	assert_string_equal(by_arg.config.tunnel_secret.text, "hush");
	assert_configs_equal(&by_arg.config, &by_env.config);
	assert_configs_equal(&by_arg.config, &by_file.config);
	free((char *)by_env.config.tunnel_server);
	reading_deinit(&by_arg);
	reading_deinit(&by_env);
	reading_deinit(&by_file);
}

/* All others: argument and file. */
static void test_equal_file(void **state)
{
	struct reading by_arg, by_file;

	reading_init(&by_arg);
	assert_int_equal(
		read_args(&by_arg,
			"--tunnel-port 7 --tunnel-protocol bore --listen ::1 -P 0 --expire 1h "
			"--build make --wasm a.wasm --arg x --arg=-y --env A=1 --dir .::/ "
			"--app-port 9 --kind cgi --open --fallback a/b.html --header X:y "
			"--request-timeout none --allow-net *.example.com:443 --allow-net "
			"localhost:5432 --deny-net 10.1.0.0/16 --bind-port 8081 "
			"--max-connections 7 --max-bandwidth-mbps 8 --connection-timeout-secs 9"),
		0);
	reading_init(&by_file);
	write_file(&by_file,
		"[os]\ntunnel_port = 7\ntunnel_protocol = 'bore'\nlisten = '::1'\nhttp_port = 0\n"
		"expire = '1h'\nopen = true\n[app]\nbuild = 'make'\nwasm = 'a.wasm'\nargs = ['x', "
		"'-y']\n"
		"env = ['A=1']\ndirs = ['.::/']\nport = 9\n"
		"kind = 'cgi'\nrequest_timeout = 'none'\n[os.network]\n"
		"allow = ['*.example.com:443', 'localhost:5432']\ndeny = ['10.1.0.0/16']\n"
		"bind_ports = [8081]\nmax_connections = 7\nmax_bandwidth_mbps = 8\n"
		"connection_timeout_secs = 9\n[static]\nfallback = 'a/b.html'\nheaders "
		"= ['X:y']\n");
	assert_int_equal(read_args(&by_file, ""), 0);
	assert_int_equal(by_arg.config.app.port, 9);
	assert_true(by_arg.config.app.has_kind);
	assert_int_equal(by_arg.config.app.kind, APP_CGI);
	assert_int_equal(by_arg.config.app.request_timeout_ms, 0);
	assert_true(by_arg.config.open);
	assert_int_equal(by_arg.config.app.args.count, 2);
	assert_configs_equal(&by_arg.config, &by_file.config);
	reading_deinit(&by_arg);
	reading_deinit(&by_file);
}

static void test_precedence(void **state)
{
	struct reading r;

	reading_init(&r);
	write_file(&r, "[os]\nexpose = true\ntunnel_server = 'file'\ntunnel_secret = 'file'\n");
	setenv("WASMRUN_EXPOSE", "0", 1);
	setenv("WASMRUN_TUNNEL_SERVER", "env", 1);
	assert_int_equal(read_args(&r, "--tunnel-server arg"), 0);
	assert_false(r.config.expose);
	assert_string_equal(r.config.tunnel_server, "arg");
	assert_string_equal(r.config.tunnel_secret.text, "file");
	reading_deinit(&r);
}

/* What a word allows takes the place of what the file allows; what the file denies stays denied,
 * also when it is read again. */
static void test_lists_of_rules(void **state)
{
	struct os_run_config again;
	struct option_set set;
	struct reading r;

	reading_init(&r);
	write_file(&r, "[os.network]\nallow = ['a', 'b']\ndeny = ['c', 'd']\n");
	assert_int_equal(read_args(&r, "--allow-net e --deny-net f"), 0);
	assert_int_equal(r.config.network.allow.count, 1);
	assert_string_equal(r.config.network.allow.items[0], "e");
	assert_int_equal(r.config.network.deny.count, 3);
	assert_string_equal(r.config.network.deny.items[0], "f");
	assert_string_equal(r.config.network.deny.items[2], "d");
	write_file(&r, "[os.network]\nallow = ['a']\ndeny = ['g']\n");
	assert_int_equal(os_run_config_begin_reread(&r.config, &again, &set), 0);
	assert_int_equal(os_run_config_reread(&again, &set), 0);
	assert_int_equal(again.network.allow.count, 1);
	assert_string_equal(again.network.allow.items[0], "e");
	assert_int_equal(again.network.deny.count, 2);
	assert_string_equal(again.network.deny.items[0], "f");
	assert_string_equal(again.network.deny.items[1], "g");
	os_run_config_deinit(&again);
	reading_deinit(&r);
}

static const struct {
	const char *args, *file, *error;
} bad[] = {
	{ "x", "", "'<PATH>' and '--path <PATH>' cannot be used together" },
	{ "--tunnel-server a:b", "", "'b' is no port from 1 to 65535" },
	{ "", "[os]\ntunnel_server = 'relay:99999'\n",
		"wasmrun.toml:2: invalid value 'relay:99999' for 'os.tunnel_server': '99999' is no "
		"port" },
	/* The element's own line. */
	{ "", "[app]\nenv = [\n  'A=1',\n  'B',\n]\n",
		"wasmrun.toml:4: invalid value 'B' for 'app.env': it is no NAME=VALUE" },
	{ "", "[app]\ndirs = [\n\n'::x']\n",
		"wasmrun.toml:4: invalid value '::x' for 'app.dirs': it is no HOST::GUEST" },
	{ "", "[static]\nfallback = '/x'\n",
		"wasmrun.toml:2: invalid value '/x' for 'static.fallback': it is no path in the" },
	/* What the command line outranks is judged all the same. */
	{ "--env A=1", "[app]\nenv = ['=']\n",
		"wasmrun.toml:2: invalid value '=' for 'app.env': it is no NAME=VALUE" },
	{ "--listen localhost", "", "it is no IP address" },
	{ "--env =x", "", "it is no NAME=VALUE" },
	{ "--env x", "", "it is no NAME=VALUE" },
	{ "--dir x", "", "it is no HOST::GUEST" },
	{ "--fallback /index.html", "", "it is no path in the folder of files" },
	{ "--header X", "",
		"invalid value 'X' for '--header <NAME: VALUE>': it is no NAME: VALUE" },
	{ "--header Content-Length:3", "", "the server says that itself, of each connection" },
	{ "", "[static]\nheaders = ['A: b',\n\"X: a\\r\\nY: b\"]\n",
		"wasmrun.toml:3: invalid value 'X: a\\x0d\\x0aY: b' for 'static.headers': it has a "
		"control character" },
	{ "--build make", "", "'--build' needs '--wasm'" },
	{ "--build make --kind cgi", "", "'--build' needs '--wasm'" },
	{ "", "[app]\nkind = 'wagi'\n", "it is none of preview1, preview1-sockets, cgi, " },
	{ "", "[os.network]\nallow = [\n'a.example',\n'10.0.0.0/33']\n",
		"wasmrun.toml:4: invalid value '10.0.0.0/33' for 'os.network.allow': " },
	{ "", "[os.network]\nallow = ['https://a.example/x']\n",
		"wasmrun.toml:2: invalid value 'https://a.example/x' for 'os.network.allow': "
		"'https://' is no part of a rule, which is no URL: write 'a.example:443'" },
	{ "", "[os.network]\nallow = ['a.example/x']\n",
		"'/x' is no part of a rule, which knows no paths: write 'a.example'" },
	{ "", "[os.network]\ndeny = ['']\n",
		"wasmrun.toml:2: invalid value '' for 'os.network.deny': it is empty" },
	{ "", "[os.network]\ndeny = ['m\xc3\xbcnchen.example']\n",
		"invalid value 'm\\xc3\\xbcnchen.example' for 'os.network.deny': it isn't ASCII: "
		"write the name in punycode" },
	{ "", "[os.network]\nallow = 'a.example'\n",
		"wasmrun.toml:2: invalid value 'a.example' for 'os.network.allow': an array is "
		"expected: put it into square brackets" },
	{ "", "[os.network]\nalow = []\n[os]\nx=1\n", "wasmrun.toml:4: there is no key 'os.x'" },
	{ "", "[os.network]\nalow = ['a']\n", "wasmrun.toml:2: there is no key 'os.network.alow'" },
	{ "", "[os.network]\nbind_ports = [8081, 0]\n",
		"invalid value '0' for 'os.network.bind_ports': it is no port from 1 to 65535" },
	{ "--allow-net 300.1.2.3", "", "invalid value '300.1.2.3' for '--allow-net <RULE>': " },
	{ "--max-connections 0", "", "it is not in 1..=65535" },
	{ "--connection-timeout-secs 0", "", "it is not in 1..=3600" },
	{ "--max-bandwidth-mbps 100001", "", "it is not in 0..=100000" },
	{ "", "[network]\n[os]\nexpse = true\n", "wasmrun.toml:3: there is no key 'os.expse'" },
};

static void test_bad(void **state)
{
	struct reading r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		reading_init(&r);
		write_file(&r, bad[i].file);
		if (read_args(&r, bad[i].args) != OPTION_INVALID)
			fail_msg("nothing is said of %zu", i);
		if (!strstr(r.set.error, bad[i].error))
			fail_msg("'%s' instead of '%s'", r.set.error, bad[i].error);
		reading_deinit(&r);
	}
}

/* Fields that are good alone are too many together; the file and the line are named here, too. */
static void test_long_headers(void **state)
{
	static char text[2 * FIELDS_LEN_MAX];

	for (int too_long = 0; too_long < 2; too_long++) {
		struct reading r;

		reading_init(&r);
		snprintf(text, sizeof text, "[static]\nheaders = ['A: %0*d',\n'B: %0*d']\n",
			FIELDS_LEN_MAX / 2 - 3, 1, FIELDS_LEN_MAX / 2 - 3 + too_long, 1);
		write_file(&r, text);
		assert_int_equal(read_args(&r, ""), too_long ? OPTION_INVALID : 0);
		if (too_long) {
			assert_non_null(
				strstr(r.set.error, "wasmrun.toml:3: invalid value 'B: 0000"));
			assert_non_null(strstr(r.set.error, "' for 'static.headers': all together "
							    "are longer than 16384 bytes"));
		}
		reading_deinit(&r);
	}
}

/* As many rules as a policy can have, and one more: the file and the line of that one are named. */
static void test_many_rules(void **state)
{
	static const struct {
		const char *key, *value, *error;
		int max;
	} lists[] = {
		{ "allow", "'a.example'", "' for 'os.network.allow': there are more than 256 rules",
			POLICY_RULES_MAX },
		{ "deny", "'a.example'", "' for 'os.network.deny': there are more than 256 rules",
			POLICY_RULES_MAX },
		{ "bind_ports", "1", "' for 'os.network.bind_ports': there are more than 64",
			NETWORK_BIND_PORTS_MAX },
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(lists); i++) {
		bool too_many = i % 2;
		struct reading r;
		FILE *out;

		reading_init(&r);
		out = fopen(r.file, "w");
		assert_non_null(out);
		(void)fprintf(out, "[os.network]\n%s = [\n", lists[i / 2].key);
		for (int n = 0; n < lists[i / 2].max + too_many; n++)
			(void)fprintf(out, "%s,\n", lists[i / 2].value);
		(void)fputs("]\n", out);
		assert_int_equal(fclose(out), 0);
		assert_int_equal(read_args(&r, ""), too_many ? OPTION_INVALID : 0);
		if (too_many && !strstr(r.set.error, lists[i / 2].error))
			fail_msg("'%s' instead of '%s'", r.set.error, lists[i / 2].error);
		reading_deinit(&r);
	}
}

static void test_bad_variable(void **state)
{
	struct reading r;

	reading_init(&r);
	setenv("WASMRUN_TUNNEL_SERVER", "a b", 1);
	assert_int_equal(read_args(&r, ""), OPTION_INVALID);
	assert_non_null(strstr(r.set.error,
		"invalid value 'a b' for '--tunnel-server <HOST[:PORT]>' in the variable "
		"WASMRUN_TUNNEL_SERVER: there is a blank in it"));
	reading_deinit(&r);
}

static void test_no_such_project(void **state)
{
	char *argv[] = { (char[]){ "os" }, (char[]){ "/no/such/folder" }, NULL };
	struct os_run_config config;
	struct option_set set;

	clear_env();
	assert_int_equal(os_run_config_read(&config, &set, 2, argv), OPTION_INVALID);
	assert_non_null(
		strstr(set.error, "can't run '/no/such/folder': No such file or directory"));
	os_run_config_deinit(&config);
}

/* --- folders that the application may write to --- */

static const struct {
	const char *args;
	const char *log;  /* in the project; NULL: none */
	const char *says; /* NULL: it is good */
} given[] = {
	{ "--dir data::/data", NULL, NULL },
	{ "--dir data::/data --dir data::/same --dir data/::/too", NULL, NULL },
	{ "--dir data::/data --dir other::/other", NULL, NULL },
	{ "--dir data::/data --dir data/sub::/sub", NULL, "'data/sub::/sub' for '--dir" },
	{ "--dir data/sub::/sub --dir data::/data", NULL, "'data/sub::/sub' for '--dir" },
	{ "--dir data::/data --dir other/../data/sub::/sub", NULL, "sub' for '--dir" },
	/* "link" is a link to data/sub. */
	{ "--dir data::/data --dir link::/sub", NULL, "'link::/sub' for '--dir" },
	{ "--dir data::/data --dir link/..::/data", NULL, "/data' for '--dir" },
	/* The project is for reading, so what lies in it is what it is. */
	{ "--dir .::/ --dir data::/data", NULL, NULL },
	{ "--dir .::/ --dir data::/data --writable", NULL, "'data::/data' for '--dir" },
	{ "--dir .::/ --dir data::/data --no-isolation", NULL, "'data::/data' for '--dir" },
	{ "--dir data::/data", "log", NULL },
	{ "--dir data::/data", "data/log", "/data/log' for '--connection-log" },
	{ "--dir data::/data", "data/sub/log", "log' for '--connection-log" },
	{ "--dir data::/data", "link/log", "log' for '--connection-log" },
	/* "file" is a link to data/file. */
	{ "--dir data::/data", "file", "/file' for '--connection-log" },
	{ "--dir other::/other", "file", NULL },
	{ "--dir .::/", "log", NULL },
	{ "--dir .::/ --writable", "log", "log' for '--connection-log" },
};

static void test_given_folders(void **state)
{
	static const char *const made[] = { "data", "data/sub", "other" };
	char path[128], to[128], args[256];
	/* A file that is named alone has no project around it: what has it inside may be written
	 * to. */
	char *alone[] = { (char[]){ "os" }, to, (char[]){ "--dir" }, (char[]){ ".::/" },
		(char[]){ "--connection-log" }, args, NULL };
	struct reading r;

	reading_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		snprintf(path, sizeof path, "%s/%s", r.dir, made[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof path, "%s/link", r.dir);
	assert_int_equal(symlink("data/sub", path), 0);
	snprintf(to, sizeof to, "%s/data/file", r.dir);
	assert_int_equal(close(open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	snprintf(path, sizeof path, "%s/file", r.dir);
	assert_int_equal(symlink(to, path), 0);
	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		snprintf(args, sizeof args, "%s%s%s/%s", given[i].args,
			given[i].log ? " --connection-log " : " --dir ", r.dir,
			given[i].log ? given[i].log : "other::/elsewhere");
		if (read_args(&r, args) != (given[i].says ? OPTION_INVALID : 0) ||
			(given[i].says && !strstr(r.set.error, given[i].says)))
			fail_msg("%s: %s", args, r.set.error);
		os_run_config_deinit(&r.config);
	}
	snprintf(args, sizeof args, "%s/data/log", r.dir);
	assert_int_equal(
		os_run_config_read(&r.config, &r.set, ARRAY_LEN(alone) - 1, alone), OPTION_INVALID);
	assert_non_null(strstr(r.set.error, "/data/log' for '--connection-log"));
	os_run_config_deinit(&r.config);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(to), 0);
	snprintf(path, sizeof path, "%s/link", r.dir);
	assert_int_equal(unlink(path), 0);
	for (size_t i = ARRAY_LEN(made); i-- > 0;) {
		snprintf(path, sizeof path, "%s/%s", r.dir, made[i]);
		assert_int_equal(rmdir(path), 0);
	}
	reading_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_given_folders),
		cmocka_unit_test(test_equal_sources),
		cmocka_unit_test(test_equal_file),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_lists_of_rules),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long_headers),
		cmocka_unit_test(test_many_rules),
		cmocka_unit_test(test_bad_variable),
		cmocka_unit_test(test_no_such_project),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
