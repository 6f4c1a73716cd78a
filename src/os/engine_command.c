/* SPDX-License-Identifier: MIT */
/*
 * Words are copied, so that a command outlives what it was made from. When memory runs out, a list
 * loses its items, and whatever is added from then on is dropped: engine_command_init() looks for
 * that once, at its end.
 */
#include "os/engine_command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/owner.h"
#include "conf/option.h"
#include "conf/option_value.h"
#include "os/engine_program.h"

/* Linear memory of a component: as much as wasmrun-guest gives a module. */
#define MEMORY_MAX "1073741824"

/*
 * How many requests a component computes at a time: each has a thread, and the kernel shares the
 * processors among them. Tokio would have one thread for each processor, and as few requests that
 * compute for ever would keep all others out. CGI has as many (guest/cgi.h).
 */
#define HTTP_THREADS "16"

/*
 * Variables that a loader or an engine would take for its own. The application's variables of these
 * names go on the command line instead. A name that ends in "_" stands for all that begin with it.
 */
static const char *const engine_reserved[] = { "CLICOLOR", "CLICOLOR_", "GCONV_PATH", "GLIBC_",
	"HOME", "HOSTALIASES", "LANG", "LANGUAGE", "LC_", "LD_", "LOCALDOMAIN", "LOCPATH",
	"MALLOC_", "NLSPATH", "NO_COLOR", "PATH", "POSIXLY_CORRECT", "RAYON_", "RES_OPTIONS",
	"RUST_", "TMPDIR", "TOKIO_", "WASMRUN_", "WASMTIME_", "XDG_" };

static void engine_words_clear(struct engine_words *words)
{
	for (size_t i = 0; words->items && i < words->count; i++)
		free(words->items[i]);
	free(words->items);
	words->items = NULL;
}

static _printf_(2, 3) void engine_add(struct engine_words *words, const char *fmt, ...)
{
	char **items, *text;
	va_list ap;
	int n;

	if (!words->items)
		return;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	items = realloc(words->items, (words->count + 2) * sizeof *items);
	if (items)
		words->items = items;
	if (n < 0 || !items) {
		if (n >= 0)
			free(text);
		engine_words_clear(words);
		return;
	}
	items[words->count++] = text;
	items[words->count] = NULL;
}

static void engine_add_all(struct engine_words *words, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		engine_add(words, "%s", texts[i]);
}

static bool engine_is_reserved(const char *variable)
{
	for (size_t i = 0; i < ARRAY_LEN(engine_reserved); i++) {
		size_t len = strlen(engine_reserved[i]);

		if (strncmp(variable, engine_reserved[i], len) == 0 &&
			(variable[len] == '=' || engine_reserved[i][len - 1] == '_'))
			return true;
	}
	return false;
}

/* Of two with the same name the later one holds, and getenv(3) would find the first. */
static bool engine_comes_again(const struct option_list *env, size_t i, size_t name_len)
{
	for (size_t k = i + 1; k < env->count; k++)
		if (strncmp(env->items[k], env->items[i], name_len + 1) == 0)
			return true;
	return false;
}

static void engine_add_env(struct engine_command *command, const struct option_list *env)
{
	for (size_t i = 0; i < env->count; i++) {
		size_t name_len = strcspn(env->items[i], "=");

		if (engine_comes_again(env, i, name_len))
			continue;
		engine_add(&command->argv, "--env");
		if (engine_is_reserved(env->items[i])) {
			engine_add(&command->argv, "%s", env->items[i]);
			continue;
		}
		engine_add(&command->argv, "%.*s", (int)name_len, env->items[i]);
		engine_add(&command->env, "%s", env->items[i]);
	}
}

/* What both engines understand alike. */
static void engine_add_module(struct engine_command *command, const struct engine_config *config)
{
	for (size_t i = 0; i < config->dirs->count; i++) {
		engine_add(&command->argv, "--dir");
		engine_add(&command->argv, "%s", config->dirs->items[i]);
	}
	engine_add_env(command, config->env);
	engine_add(&command->argv, "--");
	engine_add(&command->argv, "%s", config->module);
	engine_add_all(&command->argv, config->args, config->arg_count);
}

static void engine_add_files(struct engine_words *argv, const struct engine_config *config)
{
	engine_add(argv, "--files");
	if (config->fallback)
		engine_add(argv, "--fallback=%s", config->fallback);
	for (size_t i = 0; config->headers && i < config->headers->count; i++)
		engine_add(argv, "--header=%s", config->headers->items[i]);
}

static int engine_guest_command(
	struct engine_command *command, const struct engine_config *config, char *ret_why)
{
	bool program = config->interface == APP_LISTENER || config->interface == APP_SOCKETS;
	struct engine_words *argv = &command->argv;
	_cleanup_(freep) char *found = NULL;
	char timeout[OPTION_DURATION_TEXT_MAX];
	const char *guest = config->guest_program;
	int r = guest ? 0 : engine_file_find("wasmrun-guest", &found, ret_why);

	if (r < 0)
		return r;
	guest = guest ? guest : found;
	/* $ORIGIN of ld.so(8): see src/guest/meson.build. */
	if (strchr(guest, '/') && asprintf(&command->library, "%.*s/libwasmtime.so",
					  (int)(strrchr(guest, '/') - guest), guest) < 0)
		command->library = NULL;
	engine_add(argv, "%s", guest);
	if (config->compile)
		engine_add(argv, "--compile");
	if (config->interface == APP_CGI && config->listen_fd >= 0) {
		engine_add(argv, "--cgi");
		engine_add(argv, "--timeout=%s",
			config->request_timeout_ms
				? option_format_duration(config->request_timeout_ms, timeout)
				: "none");
	}
	if (config->interface == APP_FILES)
		engine_add_files(argv, config);
	if (config->listen_fd >= 0)
		engine_add(argv, "--listen-fd=%d", config->listen_fd);
	if (config->status_fd >= 0)
		engine_add(argv, "--status-fd=%d", config->status_fd);
	if (config->broker_fd >= 0)
		engine_add(argv, "--broker-fd=%d", config->broker_fd);
	else if (config->walled && config->interface == APP_SOCKETS)
		engine_add(argv, "--walled");
	if (config->listen_fd >= 0 && program)
		engine_add(argv, "--empty=%s", config->empty_dir);
	if (config->cache_dir)
		engine_add(argv, "--cache=%s", config->cache_dir);
	if (config->quick)
		engine_add(argv, "--quick");
	engine_add_module(command, config);
	return 0;
}

/*
 * A library that is loaded into wasmtime (preload/preload.c): it brings the socket, seals the
 * process, and ends one that only compiles.
 */
static int engine_add_preload(
	struct engine_command *command, const struct engine_config *config, char *ret_why)
{
	struct engine_words *env = &command->env;
	int r = 0;

	if (config->preload)
		command->library = strdup(config->preload);
	else
		r = engine_file_find("libwasmrun-preload.so", &command->library, ret_why);
	if (r < 0)
		return r;
	if (!command->library)
		return -ENOMEM;
	if (command->library[strcspn(command->library, " :")]) {
		snprintf(ret_why, APP_WHY_MAX,
			"components can't be run from a folder with a space or a colon in its "
			"name");
		return -EINVAL;
	}
	engine_add(env, "LD_PRELOAD=%s", command->library);
	if (config->compile)
		engine_add(env, "WASMRUN_COMPILE=1");
	if (config->listen_fd >= 0)
		engine_add(env, "WASMRUN_LISTEN_FD=%d", config->listen_fd);
	if (config->status_fd >= 0)
		engine_add(env, "WASMRUN_STATUS_FD=%d", config->status_fd);
	if (config->broker_fd >= 0)
		engine_add(env, "WASMRUN_BROKER_FD=%d", config->broker_fd);
	return 0;
}

static int engine_wasmtime_command(
	struct engine_command *command, const struct engine_config *config, char *ret_why)
{
	_cleanup_(freep) char *program = NULL;
	struct engine_words *argv = &command->argv;
	bool http = config->interface == APP_HTTP;
	int r = wasmtime_find(&program, ret_why);

	if (r == 0)
		r = engine_add_preload(command, config, ret_why);
	if (r == 0 && http && config->arg_count > 0) {
		snprintf(ret_why, APP_WHY_MAX,
			"a component that serves wasi:http takes no arguments");
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	command->sockets = !config->compile;
	engine_add(argv, "%s", program);
	engine_add(argv, http ? "serve" : "run");
	if (http) {
		engine_add(argv, "--addr=%s", config->addr);
		engine_add(argv, "--no-logging-prefix");
		engine_add(argv, "-Scli");
		engine_add(&command->env, "TOKIO_WORKER_THREADS=" HTTP_THREADS);
		engine_add(&command->env, "WASMRUN_REQUEST_TIMEOUT=%" PRIu64,
			config->request_timeout_ms);
	} else {
		engine_add(argv, "-Sinherit-network,allow-ip-name-lookup,tcp,udp,http");
	}
	/* Compiled code is kept below HOME, and the user's own settings don't count. */
	if (config->cache_dir)
		engine_add(&command->env, "HOME=%s", config->cache_dir);
	else
		engine_add(argv, "-Ccache=n");
	engine_add(argv, "-Wmax-memory-size=" MEMORY_MAX);
	engine_add_module(command, config);
	return 0;
}

int engine_command_init(struct engine_command *command, const struct engine_config *config,
	char ret_why[APP_WHY_MAX])
{
	bool component = config->interface == APP_HTTP || config->interface == APP_COMMAND;
	int r;

	*command = (struct engine_command){
		.argv.items = calloc(1, sizeof *command->argv.items),
		.env.items = calloc(1, sizeof *command->env.items),
	};
	r = component ? engine_wasmtime_command(command, config, ret_why)
		      : engine_guest_command(command, config, ret_why);
	if (r == 0 && (!command->argv.items || !command->env.items)) {
		snprintf(ret_why, APP_WHY_MAX, "there is not enough memory to start the engine");
		r = -ENOMEM;
	}
	return r;
}

void engine_command_deinit(struct engine_command *command)
{
	engine_words_clear(&command->argv);
	engine_words_clear(&command->env);
	free(take_ptr(command->library));
}
