/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun os`: from the options to the exit code. What runs is a struct os_run; this file prints
 * its addresses on standard output and its lines on standard error, and passes signals on to it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "cli/browser.h"
#include "cli/common_options.h"
#include "cli/notify.h"
#include "cli/runtime.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "net/host.h"
#include "net/pump_pool.h"
#include "os/api.h"
#include "os/exposure.h"
#include "os/forward.h"
#include "os/qr.h"
#include "os/run.h"
#include "os/run_config.h"
#include "os/supervisor.h"
#include "os/wall.h"
#include "sandbox/layers.h"

#define CREDENTIAL "wasmrun-tunnel-secret"
#define OS_THREADS 8

struct os {
	struct runtime runtime;
	struct os_run_config config;
	struct os_run run;
	struct browser browser;
	bool page_shown;  /* before the application has been running */
	uint64_t unshown; /* lines that standard error had no room for */
	int code;         /* enum exit_code */
};

static void os_close(struct os *os)
{
	browser_close(&os->browser);
	os_run_close(&os->run);
}

/* --- what is printed --- */

/* Whether a line can be shown. A terminal may be stopped and a pager may not read on, which must
 * not hold up the loop. Who can be shown lines again is told how many are missing. */
static bool os_has_room(struct os *os)
{
	if (os->unshown && fd_has_room(STDERR_FILENO)) {
		fprintf(stderr, "%s | %" PRIu64 " lines are not shown: 'wasmrun logs' has them\n",
			log_stream_name(LOG_STREAM_SUPERVISOR), os->unshown);
		os->unshown = 0;
	}
	if (fd_has_room(STDERR_FILENO))
		return true;
	os->unshown++;
	return false;
}

/* What the application and its build say is theirs to format, but it must not steer the terminal.
 */
static void os_on_line(void *owner, const struct log_line *line)
{
	struct os *os = owner;

	if (line->stream == LOG_STREAM_SUPERVISOR) {
		log_debug("app", "%s", line->text);
		return;
	}
	if (!os_has_room(os))
		return;
	fprintf(stderr, "%s | ", log_stream_name(line->stream));
	terminal_write_line(stderr, line->text, line->len);
	fputc('\n', stderr);
}

static void os_show_page(const struct os *os)
{
	printf("page:        %s\n", api_url(os->run.api));
}

static void os_show_forward(void *owner, const struct forward_status *forward)
{
	char text[ADDR_TEXT_MAX];

	addr_format(&forward->addr, text);
	if (forward->app_port)
		printf("forward:     http://%s (port %u of the application)\n", text,
			forward->app_port);
	else
		printf("forward:     http://%s\n", text);
}

static void os_show_app(struct os *os)
{
	struct supervisor_status app;

	supervisor_status(os->run.supervisor, &app);
	printf("application: %s (%s)\n", app.url, app.kind);
	forwards_each(os->run.forwards, os_show_forward, NULL);
	os_show_page(os);
}

static void os_show_public(struct os *os)
{
	struct exposure_status status;

	exposure_status(os->run.exposure, &status);
	printf("public:      %s\n", status.public_url);
	if (isatty(STDOUT_FILENO))
		(void)qr_write_terminal(stdout, status.public_url);
	log_info("os", "anyone with this address can reach the application, and there is no TLS");
}

static void os_on_event(void *owner, enum os_run_event event)
{
	struct os *os = owner;

	switch (event) {
	case OS_RUN_READY:
		os_show_app(os);
		(void)notify_send(NOTIFY_READY);
		break;
	case OS_RUN_WAITS:
		if (!os->page_shown)
			os_show_page(os);
		os->page_shown = true;
		log_info("app", "waiting for a change (--watch)");
		break;
	case OS_RUN_HOPELESS:
		os->code = EXIT_CODE_APP;
		os_close(os);
		break;
	case OS_RUN_PUBLIC:
		os_show_public(os);
		break;
	case OS_RUN_CLOSED:
		runtime_close(&os->runtime);
		break;
	}
}

/* --- signals --- */

static void os_on_end(void *owner, enum runtime_signal signal)
{
	(void)notify_send(NOTIFY_STOPPING);
	os_close(owner);
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
	enum os_run_part part = os_run_open(&os->run, &os->runtime.loop, os->runtime.pool,
		&os->config, open_files, &events, &error);

	if (part)
		return os_fail(os, part, error);
	if (os->config.open)
		browser_open(&os->browser, &os->runtime.loop, os->run.ring, api_url(os->run.api));
	return EXIT_CODE_OK;
}

/* What must be there is missed when the application starts. */
static void os_tell_layers(void)
{
	struct layers layers;

	layers_probe(wall_abi_max, &layers);
	if (layers.namespaces < 0)
		log_info("os",
			"the application is isolated without namespaces, which can't be made "
			"here: %s",
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

	if (code == EXIT_CODE_OK)
		code = common_options_load_secret(set, "tunnel-secret",
			os->config.tunnel_secret_file, CREDENTIAL, &os->config.tunnel_secret);
	if (code == EXIT_CODE_OK && !os->config.no_isolation)
		os_tell_layers();
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
