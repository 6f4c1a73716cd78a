/* SPDX-License-Identifier: MIT */
/* The option table of `wasmrun os`, and the order of its sources. */
#include "os/run_config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/module.h"
#include "base/lang.h"
#include "base/log.h"
#include "conf/option_file.h"
#include "conf/toml.h"
#include "net/host.h"
#include "os/forward.h"
#include "os/network_options.h"
#include "os/network_settings.h"
#include "os/run_check.h"
#include "os/run_given.h"
#include "proto/handshake.h"
#include "serve/field.h"
#include "tunnel/tunnel.h"

#define FILE_NAME "wasmrun.toml"
#define SHOWN_MAX 256                                    /* of a path in a message */
#define EXPIRE_MAX (UINT64_C(30) * 24 * 3600 * 1000)     /* a month: more is a mistake */
#define REQUEST_TIMEOUT_MAX (UINT64_C(24) * 3600 * 1000) /* a day: likewise */

#define CPU_PERCENT_MAX 1000000 /* beyond them are mistakes: 10,000 processors, */
#define MEMORY_MIB_MAX 16777216 /* 16 TiB, */
#define THREADS_MAX 4194304     /* and PID_MAX_LIMIT of the kernel */

static_assert(HOST_WHY_MAX <= OPTION_WHY_MAX, "an option says why a host is none");

static const char *const log_formats[] = {
	[OS_LOG_AUTO] = "auto",
	[OS_LOG_PLAIN] = "plain",
	[OS_LOG_JSON] = "json",
	NULL,
};

static const struct option_def os_options[] = {
	{ .name = "PATH",
		.type = OPTION_FILE,
		.positional = true,
		.help = "The application: a folder with sources or a module, or one such file; "
			"default is the current folder",
		.offset = offsetof(struct os_run_config, path_word) },
	NETWORK_ALLOW_NET(struct os_run_config, network),
	{ .name = "app-port",
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.max = UINT16_MAX,
		.fallback = "0",
		.key = "app.port",
		.help = "Port on 127.0.0.1 that the application gets; 0 is any",
		.offset = offsetof(struct os_run_config, app.port) },
	{ .name = "arg",
		.type = OPTION_LIST,
		.value_name = "ARG",
		.key = "app.args",
		.help = "An argument for the application; may be repeated",
		.offset = offsetof(struct os_run_config, app.args) },
	NETWORK_BIND_PORT(struct os_run_config, network),
	{ .name = "build",
		.type = OPTION_TEXT,
		.value_name = "COMMAND",
		.key = "app.build",
		.help = "The shell command that makes the module of --wasm, in the project's "
			"folder",
		.offset = offsetof(struct os_run_config, app.build) },
	{ .name = "connection-log",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.env = "WASMRUN_CONNECTION_LOG",
		.help = "Append a line of JSON to a file for each connection that has ended, "
			"opened anew at SIGHUP; - is standard output",
		.offset = offsetof(struct os_run_config, connection_log) },
	NETWORK_CONNECTION_TIMEOUT_SECS(struct os_run_config, network),
	NETWORK_DENY_NET(struct os_run_config, network),
	{ .name = "dir",
		.type = OPTION_FOLDERS,
		.value_name = "HOST::GUEST",
		.check = run_check_folder,
		.key = "app.dirs",
		.help = "A folder of the project that the application may use, and its name "
			"there; may be repeated",
		.offset = offsetof(struct os_run_config, app.dirs) },
	{ .name = "env",
		.type = OPTION_LIST,
		.value_name = "NAME=VALUE",
		.check = run_check_variable,
		.key = "app.env",
		.help = "A variable for the application; may be repeated",
		.offset = offsetof(struct os_run_config, app.env) },
	{ .name = "expire",
		.type = OPTION_DURATION,
		.value_name = "DURATION",
		.max = EXPIRE_MAX,
		.fallback = "none",
		.key = "os.expire",
		.help = "The public address ends by itself after so long",
		.offset = offsetof(struct os_run_config, expire_ms) },
	{ .name = "expose",
		.type = OPTION_FLAG,
		.env = "WASMRUN_EXPOSE",
		.key = "os.expose",
		.help = "Give the application a public address at once",
		.offset = offsetof(struct os_run_config, expose) },
	{ .name = "fallback",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.check = run_check_fallback,
		.key = "static.fallback",
		.help = "For a folder of files: the page of a single-page application, shown to "
			"who opens an address that has no file; relative to that folder",
		.offset = offsetof(struct os_run_config, app.fallback) },
	{ .name = "forward",
		.type = OPTION_LIST,
		.value_name = "[ADDR:]HOST_PORT[:APP_PORT]",
		.env = "WASMRUN_FORWARD",
		.check = forward_spec_check,
		.key = "os.forwards",
		.help = "A port of this machine that leads to the application's, or to what the "
			"tunnel shows; 127.0.0.1 unless ADDR says otherwise; may be repeated",
		.offset = offsetof(struct os_run_config, forwards) },
	{ .name = "header",
		.type = OPTION_LIST,
		.value_name = "NAME: VALUE",
		.check = run_check_field,
		.key = "static.headers",
		.help = "For a folder of files: a header of all its answers; may be repeated",
		.offset = offsetof(struct os_run_config, app.headers) },
	{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },
	{ .name = "http-port",
		.letter = 'P',
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.max = UINT16_MAX,
		.fallback = "8420",
		.key = "os.http_port",
		.help = "Port of the page and the API; 0 is any",
		.offset = offsetof(struct os_run_config, http_port) },
	{ .name = "kind",
		.type = OPTION_CHOICE,
		.value_name = "KIND",
		.choices = app_interface_words,
		.key = "app.kind",
		.help = "How the application takes its visitors, where that is not to be found "
			"out; \"static\" serves the folder, or that of --wasm, as it is",
		.offset = offsetof(struct os_run_config, app.kind) },
	{ .name = "listen",
		.type = OPTION_TEXT,
		.value_name = "ADDR",
		.check = host_check,
		.form = HOST_ADDRESS,
		.fallback = "127.0.0.1",
		.key = "os.listen",
		.help = "Address of the page and the API",
		.offset = offsetof(struct os_run_config, listen) },
	{ .name = "log-format",
		.type = OPTION_CHOICE,
		.value_name = "FORMAT",
		.choices = log_formats,
		.fallback = "auto",
		.env = "WASMRUN_LOG_FORMAT",
		.key = "os.log_format",
		.help = "What is printed: lines for scripts, JSON objects, or on a terminal what a "
			"person wants to see and elsewhere those lines",
		.offset = offsetof(struct os_run_config, log_format) },
	NETWORK_MAX_BANDWIDTH_MBPS(struct os_run_config, network),
	NETWORK_MAX_CONNECTIONS(struct os_run_config, network),
	{ .name = "max-cpu-percent",
		.type = OPTION_NUMBER,
		.value_name = "PERCENT",
		.max = CPU_PERCENT_MAX,
		.fallback = TEXT_OF(LIMIT_CPU_PERCENT),
		.key = "os.limits.max_cpu_percent",
		.help = "Processor time that the application may have, 100 for each processor, "
			"where a cgroup is delegated; 0 is no limit",
		.offset = offsetof(struct os_run_config, limits.max_cpu_percent) },
	{ .name = "max-memory-mib",
		.type = OPTION_NUMBER,
		.value_name = "MIB",
		.max = MEMORY_MIB_MAX,
		.fallback = TEXT_OF(LIMIT_MEMORY_MIB),
		.key = "os.limits.max_memory_mib",
		.help = "Memory that the application and its engine may have, where a cgroup is "
			"delegated; 0 is no limit",
		.offset = offsetof(struct os_run_config, limits.max_memory_mib) },
	{ .name = "max-threads",
		.type = OPTION_NUMBER,
		.value_name = "N",
		.max = THREADS_MAX,
		.fallback = TEXT_OF(LIMIT_THREADS),
		.key = "os.limits.max_threads",
		.help = "Threads that they may have, where a cgroup is delegated, or a user "
			"namespace can be made by who isn't root; 0 is no limit",
		.offset = offsetof(struct os_run_config, limits.max_threads) },
	{ .name = "no-isolation",
		.type = OPTION_FLAG,
		.env = "WASMRUN_NO_ISOLATION",
		.key = "os.no_isolation",
		.help = "Run the application with all of your rights: it reaches your files and "
			"your network",
		.offset = offsetof(struct os_run_config, no_isolation) },
	{ .name = "open",
		.type = OPTION_FLAG,
		.key = "os.open",
		.help = "Open the page in the browser ($BROWSER, else xdg-open)",
		.offset = offsetof(struct os_run_config, open) },
	{ .name = "path",
		.letter = 'p',
		.type = OPTION_FILE,
		.value_name = "PATH",
		.help = "The same as the plain <PATH>",
		.offset = offsetof(struct os_run_config, path_option) },
	{ .name = "quiet",
		.letter = 'q',
		.type = OPTION_FLAG,
		.help = "Log errors only",
		.offset = offsetof(struct os_run_config, quiet) },
	{ .name = "request-timeout",
		.type = OPTION_DURATION,
		.value_name = "DURATION",
		.max = REQUEST_TIMEOUT_MAX,
		.fallback = TEXT_OF(APP_REQUEST_TIMEOUT_S) "s",
		.key = "app.request_timeout",
		.help = "How long a request may go without an answer, for the kinds cgi and "
			"component-http; one that has begun has no limit",
		.offset = offsetof(struct os_run_config, app.request_timeout_ms) },
	{ .name = "tunnel-port",
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.max = UINT16_MAX,
		.fallback = "0",
		.key = "os.tunnel_port",
		.help = "Public port to ask for; 0 is any",
		.offset = offsetof(struct os_run_config, tunnel_port) },
	{ .name = "tunnel-protocol",
		.type = OPTION_CHOICE,
		.value_name = "PROTOCOL",
		.choices = tunnel_protocol_names,
		.fallback = "auto",
		.key = "os.tunnel_protocol",
		.help = "Dialect to speak with the tunnel's server, see bore-local(1)",
		.offset = offsetof(struct os_run_config, tunnel_protocol) },
	{ .name = "tunnel-retry",
		.type = OPTION_FLAG,
		.env = "WASMRUN_TUNNEL_RETRY",
		.key = "os.tunnel_retry",
		.help = "Go on trying when the tunnel's first attempt fails, too",
		.offset = offsetof(struct os_run_config, tunnel_retry) },
	{ .name = "tunnel-secret",
		.type = OPTION_SECRET,
		.value_name = "SECRET",
		.env = "WASMRUN_TUNNEL_SECRET",
		.key = "os.tunnel_secret",
		.help = "Secret of the tunnel's server",
		.offset = offsetof(struct os_run_config, tunnel_secret) },
	{ .name = "tunnel-secret-file",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.help = "Read that secret from a file (without its last newline)",
		.offset = offsetof(struct os_run_config, tunnel_secret_file) },
	{ .name = "tunnel-server",
		.type = OPTION_TEXT,
		.value_name = "HOST[:PORT]",
		.env = "WASMRUN_TUNNEL_SERVER",
		.check = host_check,
		.form = HOST_RELAY,
		.key = "os.tunnel_server",
		.fallback = "bore.pub:" TEXT_OF(CONTROL_PORT),
		.help = "The bore server that gives the public address, or the URL of an HTTP "
			"front "
			"before it, see bore-local(1)",
		.offset = offsetof(struct os_run_config, tunnel_server) },
	{ .name = "tunnel-tls-ca",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.key = "os.tunnel_tls_ca",
		.help = "For a tunnel's server at https://: trust the CA certificates in this file "
			"(PEM), "
			"in place of the system's",
		.offset = offsetof(struct os_run_config, tunnel_tls_ca) },
	{ .name = "verbose",
		.letter = 'v',
		.type = OPTION_FLAG,
		.help = "Log every connection and change of state",
		.offset = offsetof(struct os_run_config, verbose) },
	{ .name = "wasm",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.key = "app.wasm",
		.help = "The module to run, relative to the project's folder",
		.offset = offsetof(struct os_run_config, app.wasm) },
	{ .name = "watch",
		.type = OPTION_FLAG,
		.key = "os.watch",
		.help = "Build and replace the application when the project changes",
		.offset = offsetof(struct os_run_config, watch) },
	{ .name = "writable",
		.type = OPTION_FLAG,
		.key = "app.writable",
		.help = "Files of the project can be changed from the page, and by the application "
			"where --dir gives them",
		.offset = offsetof(struct os_run_config, app.writable) },
};

const struct option_table os_run_table = {
	.program = "wasmrun",
	.command = "os",
	.summary = "Runs a WebAssembly application, and gives it a public address",
	.defs = os_options,
	.count = ARRAY_LEN(os_options),
};

static int run_config_find_project(struct os_run_config *c, struct option_set *set)
{
	if (c->path_word && c->path_option)
		return option_set_fail(set, "'<PATH>' and '--path <PATH>' cannot be used together");
	c->project_path = c->path_option ? c->path_option : c->path_word ? c->path_word : ".";
	return 0;
}

/* Only a folder is a project. A file that is named alone has no settings of its own. */
static int run_config_read_file(struct os_run_config *c, struct option_set *set)
{
	const char *path = c->project_path;
	char shown[SHOWN_MAX];
	struct stat st;
	int n;

	log_escape(shown, sizeof shown, path, strlen(path));
	if (stat(path, &st) < 0)
		return option_set_fail(set, "can't run '%s': %s", shown, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return 0;
	n = snprintf(c->file_path, sizeof c->file_path, "%s/" FILE_NAME, path);
	if (n < 0 || (size_t)n >= sizeof c->file_path)
		return option_set_fail(set, "the path '%s' is too long", shown);
	return option_set_read_file(set, c->file_path, &c->file);
}

/* A forward is known by its port. */
static int run_config_check_forwards(const struct os_run_config *c, struct option_set *set)
{
	const struct option_list *forwards = &c->forwards;
	struct forward_spec specs[FORWARDS_MAX];
	char why[HOST_WHY_MAX];
	uint16_t port;

	for (size_t i = 0; i < forwards->count; i++) {
		if (i == FORWARDS_MAX)
			return option_set_refuse_given(set, "forward", forwards->items[i],
				"there are more than " TEXT_OF(FORWARDS_MAX) " of them");
		(void)forward_spec_parse(forwards->items[i], &specs[i], why);
		port = addr_port(&specs[i].addr);
		/* At [::1] there would be room beside the page, and a browser goes there first. */
		if (port && port == c->http_port)
			return option_set_refuse_given(set, "forward", forwards->items[i],
				"its HOST_PORT is the page's (--http-port)");
		for (size_t k = 0; k < i && port; k++)
			if (addr_port(&specs[k].addr) == port)
				return option_set_refuse_given(set, "forward", forwards->items[i],
					"its HOST_PORT is forwarded already");
	}
	return 0;
}

/* What is right alone and wrong together. */
static int run_config_check(const struct os_run_config *c, struct option_set *set)
{
	const struct option_list *headers = &c->app.headers;
	size_t len = 0;

	if (c->app.build && !c->app.wasm && !(c->app.has_kind && c->app.kind == APP_FILES))
		return option_set_fail(set, "'--build' needs '--wasm', the module that it makes");
	for (size_t i = 0; i < headers->count; i++)
		len += strlen(headers->items[i]);
	if (len > FIELDS_LEN_MAX)
		return option_set_refuse_given(set, "header", headers->items[headers->count - 1],
			"all together are longer than " TEXT_OF(FIELDS_LEN_MAX) " bytes");
	if (run_config_check_forwards(c, set) != 0 || run_check_given(c, set) != 0)
		return OPTION_INVALID;
	return network_settings_check(&c->network, set);
}

int os_run_config_read(
	struct os_run_config *ret_config, struct option_set *set, int argc, char **argv)
{
	struct os_run_config *c = ret_config;
	int r;

	*c = (struct os_run_config){ 0 };
	r = option_set_begin(set, &os_run_table, c, argc, argv);
	if (r == 0)
		r = run_config_find_project(c, set);
	if (r == 0)
		r = run_config_read_file(c, set);
	if (r == 0)
		r = option_set_finish(set);
	memcpy(c->origins, set->origins, sizeof c->origins);
	c->app.has_kind = r == 0 && option_set_source(set, "kind") != OPTION_UNSET;
	return r == 0 ? run_config_check(c, set) : r;
}

void os_run_config_warn(const struct os_run_config *config, const struct option_set *set)
{
	char shown[SHOWN_MAX];

	if (option_set_source(set, "tunnel-secret") == OPTION_FROM_FILE &&
		secret_file_is_exposed(config->file_path))
		log_warn("secret", "every user can read the secret in '%s': do 'chmod o-r' on it",
			log_escape(
				shown, sizeof shown, config->file_path, strlen(config->file_path)));
}

static bool run_config_is_network(const struct option_def *def)
{
	return def->key && strncmp(def->key, "os.network.", strlen("os.network.")) == 0;
}

/* Of these options a value is a number or a list of texts. */
static int run_config_take_over(const struct os_run_config *config, const struct option_def *def,
	struct option_origin origin, struct option_set *set)
{
	const void *from = (const char *)config + def->offset;
	const struct option_list *list = from;
	int r = 0;

	if (!option_is_list(def)) {
		assert(def->type == OPTION_NUMBER);
		memcpy((char *)set->values + def->offset, from, sizeof(uint64_t));
		return 0;
	}
	/* A list that adds has the file's as well. */
	for (size_t i = 0; r == 0 && i < list->count; i++)
		if (!toml_file_line(config->file, list->items[i]))
			r = option_set_take(set, def, list->items[i], origin);
	return r;
}

int os_run_config_begin_reread(const struct os_run_config *config, struct os_run_config *ret_config,
	struct option_set *set)
{
	int r = 0;

	*ret_config = (struct os_run_config){ 0 };
	memcpy(ret_config->file_path, config->file_path, sizeof config->file_path);
	*set = (struct option_set){ .table = &os_run_table, .values = ret_config };
	for (size_t i = 0; r == 0 && i < os_run_table.count; i++) {
		const struct option_origin origin = config->origins[i];

		if (origin.source <= OPTION_FROM_FILE)
			continue;
		set->origins[i] = origin;
		if (run_config_is_network(&os_options[i]))
			r = run_config_take_over(config, &os_options[i], origin, set);
	}
	/* The values were good once, so it can be nothing else. */
	return r == 0 ? 0 : -ENOMEM;
}

int os_run_config_reread(struct os_run_config *config, struct option_set *set)
{
	int r = option_set_read_file(set, config->file_path, &config->file);

	if (r == 0)
		r = option_set_finish(set);
	return r == 0 ? network_settings_check(&config->network, set) : r;
}

void os_run_config_deinit(struct os_run_config *config)
{
	option_values_clear(&os_run_table, config);
	config->file = toml_file_free(config->file);
}
