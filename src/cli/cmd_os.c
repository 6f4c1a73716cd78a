/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun os`: from the options to the exit code. What runs is a struct os_run; this file has its
 * events shown by os_screen, and passes signals on to it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/lang.h"
#include "base/log.h"
#include "cli/browser.h"
#include "cli/common_options.h"
#include "cli/notify.h"
#include "cli/os_screen.h"
#include "cli/runtime.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "net/host.h"
#include "net/pump_pool.h"
#include "os/api.h"
#include "os/run.h"
#include "os/run_config.h"
#include "os/wall.h"
#include "sandbox/layers.h"

#define CREDENTIAL "wasmrun-tunnel-secret"
#define OS_THREADS 8

struct os {
	struct runtime runtime;
	struct os_run_config config;
	struct os_run run;
	struct os_screen screen;
	struct browser browser;
	int code; /* enum exit_code */
};

static void os_close(struct os *os)
{
	browser_close(&os->browser);
	os_screen_close(&os->screen);
	os_run_close(&os->run);
}

/* --- what happens --- */

static void os_on_line(void *owner, const struct log_line *line)
{
	struct os *os = owner;

	os_screen_line(&os->screen, line);
}

static void os_on_event(void *owner, enum os_run_event event, const char *what)
{
	struct os *os = owner;

	switch (event) {
	case OS_RUN_BUILDING:
		os_screen_building(&os->screen, what);
		break;
	case OS_RUN_READY:
		os_screen_ready(&os->screen);
		(void)notify_send(NOTIFY_READY);
		break;
	case OS_RUN_AGAIN:
		os_screen_again(&os->screen);
		break;
	case OS_RUN_DOWN:
	case OS_RUN_UNSHARED:
		os_screen_down(&os->screen);
		break;
	case OS_RUN_WAITS:
		os_screen_waits(&os->screen);
		break;
	case OS_RUN_HOPELESS:
		os->code = EXIT_CODE_APP;
		os_close(os);
		break;
	case OS_RUN_PUBLIC:
		os_screen_public(&os->screen);
		break;
	case OS_RUN_CLOSED:
		runtime_close(&os->runtime);
		break;
	}
}

/* --- signals --- */

static void os_on_end(void *owner, enum runtime_signal signal)
{
	struct os *os = owner;

	(void)notify_send(NOTIFY_STOPPING);
	os_screen_ends(&os->screen);
	os_close(os);
}

static void os_on_end_now(void *owner)
{
	struct os *os = owner;

	os_run_close_now(&os->run);
}

static void os_on_hup(void *owner)
{
	struct os *os = owner;

	os_run_hurry(&os->run);
}

/* --- the command --- */

static int os_fail_listen(int error, const char *host, uint64_t port, const char *option)
{
	struct addr addr = host_of(HOST_ADDRESS, host).addr;

	addr_set_port(&addr, (uint16_t)port);
	return runtime_listen_error(error, &addr, option);
}

static int os_fail(struct os *os, enum os_run_part part, int error)
{
	const struct os_run_config *config = &os->config;

	switch (part) {
	case OS_RUN_CONNECTION_LOG:
		return runtime_conn_log_error(error, config->connection_log);
	case OS_RUN_FORWARD:
		return runtime_listen_error(error, &os->run.forward.addr, "--forward");
	case OS_RUN_APPLICATION:
		return os_fail_listen(error, OS_APP_HOST, config->app.port, "--app-port");
	case OS_RUN_API:
		return os_fail_listen(
			error, config->listen, config->http_port, "--http-port, --listen");
	default:
		log_error("os", "can't start %s: %s",
			part == OS_RUN_LOG       ? "the log"
			: part == OS_RUN_NETWORK ? "the network"
						 : "the tunnel",
			strerror(-error));
		return EXIT_CODE_FAILED;
	}
}

static int os_open(struct os *os, uint64_t open_files)
{
	const struct os_run_events events = {
		.happened = os_on_event, .line = os_on_line, .owner = os
	};
	int error;
	enum os_run_part part;

	os_screen_start(&os->screen, &os->runtime.loop, &os->run);
	part = os_run_open(&os->run, &os->runtime.loop, os->runtime.pool, &os->config, open_files,
		&events, &error);

	if (part)
		return os_fail(os, part, error);
	if (os->config.open)
		browser_open(&os->browser, &os->runtime.loop, os->run.ring, api_url(os->run.api));
	return EXIT_CODE_OK;
}

/* What must be there is missed when the application starts. */
static void os_tell_layers(struct os *os)
{
	struct layers layers;

	layers_probe(wall_abi_max, &layers);
	if (layers.namespaces >= 0)
		return;
	os->screen.namespaces = layers.namespaces;
	log_step("os",
		"the application is isolated without namespaces, which can't be made here: %s",
		strerror(-layers.namespaces));
}

static void os_on_work(uv_work_t *work)
{
}

/*
 * Half of libuv's threads take questions to the resolver, and of those the application's names may
 * keep DIALER_LANE_MAX: with four there would be none for the tunnel's server. libuv reads how many
 * it makes with the first work; what we start is not to find it in its environment.
 */
static void os_make_threads(struct os *os)
{
	static const char variable[] = "UV_THREADPOOL_SIZE";
	static uv_work_t work;

	if (getenv(variable) || setenv(variable, TEXT_OF(OS_THREADS), 1) < 0)
		return;
	(void)uv_queue_work(&os->runtime.loop, &work, os_on_work, NULL);
	(void)unsetenv(variable);
}

static int os_serve(struct os *os, struct option_set *set)
{
	const struct runtime_handlers handlers = {
		.end = os_on_end, .end_now = os_on_end_now, .hup = os_on_hup, .owner = os
	};
	struct common_values values = { .half_close_timeout_ms = PUMP_HALF_CLOSE_MS };
	struct rlimit files = { 0 };
	int code = common_options_log_level(set, os->config.quiet, os->config.verbose);

	if (code != EXIT_CODE_OK)
		return code;
	os_screen_open(&os->screen, &os->config);
	os_run_config_warn(&os->config, set);
	code = common_options_load_secret(set, "tunnel-secret", os->config.tunnel_secret_file,
		CREDENTIAL, &os->config.tunnel_secret);
	if (code == EXIT_CODE_OK && !os->config.no_isolation)
		os_tell_layers(os);
	/* runtime_open() raises it, and the application gets what we were given. */
	(void)getrlimit(RLIMIT_NOFILE, &files);
	if (code == EXIT_CODE_OK)
		code = runtime_open(&os->runtime, &values, &handlers);
	if (code != EXIT_CODE_OK)
		return code;
	os_make_threads(os);
	os->code = os_open(os, files.rlim_cur);
	/* It may be hopeless at once, and that sets the code. */
	if (os->code == EXIT_CODE_OK)
		os_run_start(&os->run);
	else
		os_close(os);
	return runtime_run(&os->runtime, &os->code);
}

int cmd_os(const struct program *program, int argc, char **argv)
{
	struct os os = { 0 };
	struct option_set set;
	int code = os_run_config_read(&os.config, &set, argc, argv);

	code = code == 0 ? os_serve(&os, &set) : usage_answer(&set, code);
	os_run_deinit(&os.run);
	os_run_config_deinit(&os.config);
	return code;
}
