/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun os`: one application with its page and its public address, from the options to the exit
 * code. It opens the supervisor, the exposure and the API, in this order, passes their events
 * around, prints their addresses, and closes them in the opposite order.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cli/browser.h"
#include "cli/common_options.h"
#include "cli/notify.h"
#include "cli/runtime.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option_help.h"
#include "net/addr.h"
#include "net/pump_pool.h"
#include "os/api.h"
#include "os/exposure.h"
#include "os/log_ring.h"
#include "os/qr.h"
#include "os/run_config.h"
#include "os/run_file.h"
#include "os/supervisor.h"

#define CREDENTIAL "wasmrun-tunnel-secret"

struct instance {
	struct runtime runtime;
	struct os_run_config config;
	struct log_ring *ring;
	struct supervisor *supervisor;
	struct exposure *exposure;
	struct api *api;
	struct run_file *run_file; /* NULL: other commands don't find us */
	struct browser browser;
	uv_timer_t expire;
	bool expire_open;
	bool ran;            /* the application has been running */
	bool page_shown;     /* before it has */
	bool exposed;        /* --expose was seen to */
	uint64_t unshown;    /* lines that standard error had no room for */
	bool closing, hurry; /* `hurry`: the application is given no time to end */
	int code;            /* enum exit_code */
};

static void on_expire_closed(uv_handle_t *handle)
{
	struct instance *i = handle->data;

	runtime_close(&i->runtime);
}

static void on_supervisor_closed(void *owner)
{
	struct instance *i = owner;

	i->supervisor = NULL;
	if (i->expire_open)
		uv_close((uv_handle_t *)&i->expire, on_expire_closed);
	else
		runtime_close(&i->runtime);
}

static void instance_close_supervisor(struct instance *i)
{
	supervisor_close(i->supervisor, on_supervisor_closed, i);
	/* The second call ends the application by force. */
	if (i->hurry)
		supervisor_close(i->supervisor, on_supervisor_closed, i);
}

static void on_exposure_closed(void *owner)
{
	struct instance *i = owner;

	i->exposure = NULL;
	instance_close_supervisor(i);
}

static void on_api_closed(void *owner)
{
	struct instance *i = owner;

	i->api = NULL;
	if (i->exposure)
		exposure_close(i->exposure, on_exposure_closed, i);
	else if (i->supervisor)
		instance_close_supervisor(i);
	else
		on_supervisor_closed(i);
}

/* Also for one that is half open. */
static void instance_close(struct instance *i)
{
	if (i->closing)
		return;
	i->closing = true;
	i->run_file = run_file_free(i->run_file);
	browser_close(&i->browser);
	if (i->api)
		api_close(i->api, on_api_closed, i);
	else
		on_api_closed(i);
}

static void on_end(void *owner, enum runtime_signal signal)
{
	(void)notify_send(NOTIFY_STOPPING);
	instance_close(owner);
}

static void on_end_now(void *owner)
{
	struct instance *i = owner;

	i->hurry = true;
	if (i->supervisor && !i->exposure)
		supervisor_close(i->supervisor, on_supervisor_closed, i);
}

static void on_hup(void *owner)
{
	struct instance *i = owner;

	if (!i->closing)
		exposure_hurry(i->exposure);
}

/* Whether a line can be shown: a terminal may be stopped, a pager may not read on, which must not
 * hold up the loop. Who can be shown lines again is told how many there were meanwhile. */
static bool instance_makes_room(struct instance *i)
{
	if (i->unshown && fd_has_room(STDERR_FILENO)) {
		fprintf(stderr,
			"supervisor | %" PRIu64 " lines are not shown: 'wasmrun logs' has them\n",
			i->unshown);
		i->unshown = 0;
	}
	if (fd_has_room(STDERR_FILENO))
		return true;
	i->unshown++;
	return false;
}

/* What the application and its build say is theirs to format, but it must not steer the terminal.
 */
static void show_line(void *owner, const struct log_line *line)
{
	struct instance *i = owner;

	if (i->api)
		api_log_line(i->api, line);
	if (line->stream == LOG_STREAM_SUPERVISOR) {
		log_debug("app", "%s", line->text);
		return;
	}
	if (!instance_makes_room(i))
		return;
	fprintf(stderr, "%s | ", log_stream_name(line->stream));
	terminal_write_line(stderr, line->text, line->len);
	fputc('\n', stderr);
}

static void instance_show_page(struct instance *i)
{
	printf("page:        %s\n", api_url(i->api));
}

/* With --watch a first start that fails is no end. */
static void instance_wait_for_change(struct instance *i)
{
	if (!i->page_shown)
		instance_show_page(i);
	i->page_shown = true;
	log_info("app", "waiting for a change (--watch)");
}

static void instance_show_app(struct instance *i, const struct supervisor_status *app)
{
	printf("application: %s (%s)\n", app->url, app->kind);
	instance_show_page(i);
	/* Not from the network: components and modules for WasmEdge connect where they like. */
	log_warn("os", "the application is not isolated yet: it runs with your rights, and only "
		       "the engine keeps it from your files");
}

static void instance_expose(struct instance *i)
{
	int r = exposure_start(i->exposure, NULL);

	i->exposed = true;
	if (r != 0)
		log_error("os", "can't start the tunnel: %s",
			r < 0 ? strerror(-r) : "there is no application");
}

/* What is worth a line: the rest is seen with --verbose. */
static void show_state(
	enum supervisor_state state, const char *cause, const struct supervisor_status *app)
{
	if (state == SUPERVISOR_BUILDING)
		log_info("app", "building (%s)", cause);
	else if (state == SUPERVISOR_STOPPED)
		log_info("app", "%s", cause);
	else if (state == SUPERVISOR_FAILED)
		log_error("app", "%s", app->exit_reason);
}

static void on_app_state(
	void *owner, enum supervisor_state old, enum supervisor_state new_state, const char *cause)
{
	struct instance *i = owner;
	struct supervisor_status app;

	if (i->closing)
		return;
	if (i->api)
		api_app_changed(i->api, cause);
	supervisor_status(i->supervisor, &app);
	show_state(new_state, cause, &app);
	if (new_state == SUPERVISOR_FAILED && !i->ran && i->config.watch) {
		instance_wait_for_change(i);
	} else if (new_state == SUPERVISOR_FAILED && !i->ran) {
		/* It has never been running: there is nothing to wait for but a change. */
		i->code = EXIT_CODE_APP;
		instance_close(i);
	} else if (new_state == SUPERVISOR_RUNNING && !i->ran) {
		i->ran = true;
		instance_show_app(i, &app);
		(void)notify_send(NOTIFY_READY);
	}
	if (new_state == SUPERVISOR_RUNNING && i->config.expose && !i->exposed)
		instance_expose(i);
}

static void on_app_crashed(void *owner, const char *line)
{
	log_warn("app", "%s", line);
}

static void on_app_next(void *owner, enum supervisor_next next, const char *cause)
{
	struct instance *i = owner;
	struct supervisor_status app;

	if (i->closing)
		return;
	supervisor_status(i->supervisor, &app);
	if (i->api)
		api_app_changed(i->api, cause);
	if (next == SUPERVISOR_NEXT_BUILDING)
		log_info("app", "building what replaces it (%s)", cause);
	else if (next == SUPERVISOR_NEXT_NONE && cause)
		log_error("app", "not replaced, the old one goes on: %s", cause);
	else if (next == SUPERVISOR_NEXT_NONE)
		log_info("app", "replaced: pid %d takes the connections from now on", (int)app.pid);
}

static void on_expire(uv_timer_t *timer)
{
	struct instance *i = timer->data;

	if (i->closing)
		return;
	log_info("os", "the public address has expired (--expire)");
	exposure_stop(i->exposure);
}

static void instance_show_public(struct instance *i)
{
	struct exposure_status status;

	exposure_status(i->exposure, &status);
	printf("public:      %s\n", status.public_url);
	if (isatty(STDOUT_FILENO))
		(void)qr_write_terminal(stdout, status.public_url);
	log_info("os", "anyone with this address can reach the application, and there is no TLS");
	if (i->config.expire_ms)
		(void)uv_timer_start(&i->expire, on_expire, i->config.expire_ms, 0);
}

static void on_tunnel_state(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	struct instance *i = owner;
	struct exposure_status status;

	if (i->closing)
		return;
	if (i->api)
		api_tunnel_changed(i->api, old, new_state, cause);
	if (new_state == TUNNEL_CONNECTED && old == TUNNEL_CONNECTING)
		instance_show_public(i);
	if (new_state == TUNNEL_DISCONNECTED || new_state == TUNNEL_FAILED)
		(void)uv_timer_stop(&i->expire);
	if (new_state != TUNNEL_FAILED)
		return;
	exposure_status(i->exposure, &status);
	log_error("tunnel", "%s", status.tunnel.error ? status.tunnel.error : cause);
}

static void on_visit(void *owner, const struct tunnel_visit *visit)
{
	struct instance *i = owner;

	if (i->api && !i->closing)
		api_visit(i->api, visit);
}

static int instance_fail(const char *what, int error)
{
	log_error("os", "can't start %s: %s", what, strerror(-error));
	return EXIT_CODE_FAILED;
}

static int instance_open_supervisor(struct instance *i, uint64_t open_files)
{
	const struct supervisor_config config = { .run = &i->config, .open_files = open_files };
	const struct supervisor_events events = {
		.state = on_app_state,
		.next = on_app_next,
		.crashed = on_app_crashed,
		.owner = i,
	};
	struct addr addr;
	int r;

	i->ring = log_ring_new();
	if (!i->ring)
		return instance_fail("the log", -ENOMEM);
	log_ring_watch(i->ring, show_line, i);
	r = supervisor_new(&i->runtime.loop, &config, i->ring, &events, &i->supervisor);
	if (r == 0)
		return EXIT_CODE_OK;
	if (addr_parse_ip("127.0.0.1", (uint16_t)i->config.app.port, &addr) < 0)
		return instance_fail("the application", r);
	return runtime_listen_error(r, &addr, "--app-port");
}

static int instance_open_exposure(struct instance *i)
{
	const struct exposure_events events = {
		.state = on_tunnel_state, .visit = on_visit, .owner = i
	};
	int r = exposure_new(&i->runtime.loop, i->runtime.pool, &i->config, i->supervisor, &events,
		&i->exposure);

	return r < 0 ? instance_fail("the tunnel", r) : EXIT_CODE_OK;
}

static int instance_open_api(struct instance *i)
{
	struct api_config config = {
		.loop = &i->runtime.loop,
		.run = &i->config,
		.supervisor = i->supervisor,
		.exposure = i->exposure,
		.ring = i->ring,
	};
	int r = addr_parse_ip(i->config.listen, (uint16_t)i->config.http_port, &config.addr);

	if (r == 0)
		r = api_new(&config, &i->api);
	return r < 0 ? runtime_listen_error(r, &config.addr, "--http-port, --listen")
		     : EXIT_CODE_OK;
}

/* By which `wasmrun tunnel` and others find us. All else works without it. */
static void instance_write_run_file(struct instance *i)
{
	const char *url = api_url(i->api);
	char base[ADDR_TEXT_MAX + sizeof "http://"], project[PATH_MAX];
	const struct run_entry entry = {
		.project = project,
		.url = base,
		.token = api_token(i->api),
		.pid = getpid(),
	};
	int r = 0;

	/* Without the slash, and what may follow it. */
	(void)snprintf(base, sizeof base, "%.*s",
		(int)(strlen("http://") + strcspn(url + strlen("http://"), "/")), url);
	if (!realpath(i->config.project_path, project))
		r = -errno;
	if (r == 0)
		r = run_file_new(&entry, &i->run_file);
	if (r < 0)
		log_warn("os",
			"other commands can't find this one: no file in $XDG_RUNTIME_DIR/"
			"wasmrun (or /tmp/wasmrun-UID): %s",
			r == -EPERM ? "it is no folder that is yours alone" : strerror(-r));
}

static int instance_open(struct instance *i, uint64_t open_files)
{
	int code = instance_open_supervisor(i, open_files);

	if (code == EXIT_CODE_OK)
		code = instance_open_exposure(i);
	if (code == EXIT_CODE_OK)
		code = instance_open_api(i);
	if (code != EXIT_CODE_OK)
		return code;
	instance_write_run_file(i);
	if (i->config.open)
		browser_open(&i->browser, &i->runtime.loop, i->ring, api_url(i->api));
	i->expire_open = uv_timer_init(&i->runtime.loop, &i->expire) == 0;
	i->expire.data = i;
	return EXIT_CODE_OK;
}

static int instance_load_secret(struct os_run_config *config)
{
	if (config->tunnel_secret_file)
		return common_options_read_secret(
			config->tunnel_secret_file, &config->tunnel_secret);
	if (config->tunnel_secret.set)
		return EXIT_CODE_OK;
	return common_options_read_credential(CREDENTIAL, &config->tunnel_secret);
}

static int instance_run(struct instance *i, struct option_set *set)
{
	const struct runtime_handlers handlers = {
		.end = on_end, .end_now = on_end_now, .hup = on_hup, .owner = i
	};
	struct common_values values = { .half_close_timeout_ms = PUMP_HALF_CLOSE_MS };
	struct rlimit files = { 0 };
	int code = common_options_log_level(set, i->config.quiet, i->config.verbose);

	if (code == EXIT_CODE_OK)
		code = instance_load_secret(&i->config);
	/* runtime_open() raises it, and the application gets what we were given. */
	(void)getrlimit(RLIMIT_NOFILE, &files);
	if (code == EXIT_CODE_OK)
		code = runtime_open(&i->runtime, &values, &handlers);
	if (code != EXIT_CODE_OK)
		return code;
	i->code = instance_open(i, files.rlim_cur);
	if (i->code == EXIT_CODE_OK)
		supervisor_start(i->supervisor);
	else
		instance_close(i);
	return runtime_run(&i->runtime, &i->code);
}

static int instance_refuse(const struct option_set *set, int condition)
{
	if (condition != OPTION_WANTS_HELP)
		return usage_error(set);
	option_write_help(&os_run_table, stdout);
	return EXIT_CODE_OK;
}

int cmd_os(int argc, char **argv)
{
	struct instance instance = { 0 };
	struct option_set set;
	int code = os_run_config_read(&instance.config, &set, argc, argv);

	code = code == 0 ? instance_run(&instance, &set) : instance_refuse(&set, code);
	log_ring_free(instance.ring);
	os_run_config_deinit(&instance.config);
	return code;
}
