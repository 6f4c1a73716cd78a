/* SPDX-License-Identifier: MIT */
/*
 * The machine. `state` is written by supervisor_set_state() alone, which is the last thing that any
 * function here does: the owner may call in again from the event. There is at most one child, the
 * build or the application, and it runs exactly in BUILDING, STARTING, RUNNING and STOPPING.
 */
#include "os/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/build.h"
#include "app/detect.h"
#include "app/rule.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "conf/option_value.h"
#include "net/addr.h"
#include "net/listener.h"
#include "os/child.h"
#include "os/engine_command.h"
#include "os/gate.h"
#include "os/log_ring.h"
#include "os/proc_usage.h"
#include "os/run_config.h"
#include "os/supervisor_state.h"
#include "tunnel/backoff.h"

#define BUILD_TIMEOUT_MS (30U * 60 * 1000) /* a first build fetches and compiles everything */
#define START_TIMEOUT_MS (2U * 60 * 1000)  /* compiling a large module takes a while */
#define STOP_TIMEOUT_MS 5000               /* from SIGTERM to SIGKILL */
#define STEADY_MS 10000  /* running for so long: the next crash starts with short delays */
#define GUEST_CANNOT 192 /* wasmrun-guest's own codes begin here: its last line says why */
#define REASON_MAX 640

struct supervisor {
	uv_loop_t *loop;
	struct supervisor_config config;
	struct log_ring *ring;
	struct supervisor_events events;

	enum supervisor_state state;
	uint64_t since_ms; /* wall clock */
	uv_timer_t timer;  /* the state's deadline */
	struct child child;
	struct gate gate; /* owns the listening socket */
	struct backoff backoff;
	struct app_plan plan;
	char *build_dir, *module_dir; /* owned; NULL until the first start */
	const char *kind;             /* one of app_interface_words; NULL: nothing is built */
	uint64_t first_line;          /* in the log, of the child that runs */
	uint64_t restarts;
	bool ran;      /* this plan has been running */
	bool again;    /* STOPPING: another start is wanted */
	bool hopeless; /* STOPPING: it has missed its deadline, `reason` says so */
	bool has_reason;
	char reason[REASON_MAX];
	char url[32];

	bool closing;
	void (*closed)(void *owner);
	void *closed_owner;
};

static void on_timer(uv_timer_t *timer);

static uint64_t state_deadline_ms(struct supervisor *s)
{
	switch (s->state) {
	case SUPERVISOR_BUILDING:
		return BUILD_TIMEOUT_MS;
	case SUPERVISOR_STARTING:
		return s->config.start_timeout_ms;
	case SUPERVISOR_RUNNING:
		return STEADY_MS;
	case SUPERVISOR_RESTARTING:
		return 1 + backoff_next_ms(&s->backoff); /* 0 would be no deadline */
	case SUPERVISOR_STOPPING:
		return STOP_TIMEOUT_MS;
	default:
		return 0;
	}
}

/* Whether those who come are served soon. */
static enum gate_state supervisor_gate_state(const struct supervisor *s, uint64_t deadline_ms)
{
	switch (s->state) {
	case SUPERVISOR_RUNNING:
		return GATE_OPEN;
	case SUPERVISOR_STOPPED:
	case SUPERVISOR_FAILED:
		return GATE_CLOSED;
	case SUPERVISOR_RESTARTING:
		return deadline_ms > GATE_PAUSE_MS ? GATE_CLOSED : GATE_PAUSED;
	default:
		return GATE_PAUSED;
	}
}

static _printf_(3, 4) void supervisor_set_state(
	struct supervisor *s, enum supervisor_state state, const char *fmt, ...)
{
	enum supervisor_state old = s->state;
	char cause[REASON_MAX], line[REASON_MAX + 64];
	uint64_t deadline_ms;
	va_list ap;
	int n;

	assert(supervisor_edge(old, state));
	va_start(ap, fmt);
	(void)vsnprintf(cause, sizeof cause, fmt, ap);
	va_end(ap);
	s->state = state;
	s->since_ms = clock_wall_ms();
	n = snprintf(line, sizeof line, "%s -> %s (%s)", supervisor_state_name(old),
		supervisor_state_name(state), cause);
	log_ring_append(s->ring, LOG_STREAM_SUPERVISOR, line, (size_t)n);
	deadline_ms = state_deadline_ms(s);
	if (deadline_ms)
		(void)uv_timer_start(&s->timer, on_timer, deadline_ms, 0);
	else
		(void)uv_timer_stop(&s->timer);
	gate_set(&s->gate, supervisor_gate_state(s, deadline_ms));
	s->events.state(s->events.owner, old, state, cause);
}

static _printf_(2, 3) void supervisor_set_reason(struct supervisor *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->reason, sizeof s->reason, fmt, ap);
	va_end(ap);
	s->has_reason = true;
}

static void supervisor_fail(struct supervisor *s)
{
	supervisor_set_state(s, SUPERVISOR_FAILED, "%s", s->reason);
}

/* What every start needs and only the first one makes. */
static int supervisor_prepare(struct supervisor *s, char *ret_why)
{
	int r = 0;

	if (!s->build_dir)
		r = app_cache_dir("build", &s->build_dir, ret_why);
	if (r == 0 && !s->module_dir)
		r = app_cache_dir("modules", &s->module_dir, ret_why);
	return r;
}

static int supervisor_spawn(struct supervisor *s, const struct spawn_config *spawn, bool builds)
{
	char shown[REASON_MAX / 2];
	int r;

	s->first_line = log_ring_next(s->ring);
	r = child_start(&s->child, s->loop, spawn, builds ? LOG_STREAM_BUILD : LOG_STREAM_STDOUT,
		builds ? LOG_STREAM_BUILD : LOG_STREAM_STDERR);
	if (r < 0)
		supervisor_set_reason(s, "can't start '%s': %s",
			log_escape(shown, sizeof shown, spawn->argv[0], strlen(spawn->argv[0])),
			strerror(-r));
	return r;
}

static int supervisor_command(
	struct supervisor *s, enum app_interface interface, struct engine_command *ret, char *why)
{
	const struct os_app_config *app = &s->config.run->app;
	const struct engine_config config = {
		.interface = interface,
		.module = s->plan.module,
		.guest_program = s->config.guest_program,
		.cache_dir = s->module_dir,
		.dirs = &app->dirs,
		.env = &app->env,
		.args = app->args.items,
		.arg_count = app->args.count,
		.listen_fd = SPAWN_LISTEN_FD,
		.status_fd = SPAWN_STATUS_FD,
		.addr = s->url + strlen("http://"),
	};

	return engine_command_init(ret, &config, why);
}

/* Starts the application, whose module is built. */
static void supervisor_launch(struct supervisor *s)
{
	_cleanup_(engine_command_deinit) struct engine_command command = { 0 };
	enum app_interface interface;
	char why[APP_WHY_MAX];
	int r = module_check(s->plan.module, &interface, why);

	if (r == 0) {
		if (s->config.run->app.has_kind)
			interface = (enum app_interface)s->config.run->app.kind;
		s->kind = app_interface_words[interface];
		r = supervisor_command(s, interface, &command, why);
	}
	/* It sees nothing of our environment: what it is to know is in its command. */
	const struct spawn_config spawn = {
		.argv = (const char *const *)command.argv.items,
		.env = (const char *const *)command.env.items,
		.dir = s->plan.folder,
		.listen_fd = s->gate.fd,
		.status = true,
		.open_files = s->config.open_files,
	};
	if (r < 0)
		supervisor_set_reason(s, "%s", why);
	else if (supervisor_spawn(s, &spawn, false) == 0) {
		supervisor_set_state(
			s, SUPERVISOR_STARTING, "%s, pid %d", s->kind, (int)s->child.proc.pid);
		return;
	}
	supervisor_fail(s);
}

static void supervisor_build(struct supervisor *s)
{
	const struct spawn_config spawn = {
		.argv = (const char *const *)s->plan.build,
		.dir = s->plan.folder,
		.listen_fd = -1,
		.open_files = s->config.open_files,
	};
	char why[APP_WHY_MAX];

	if (app_build_check(&s->plan, why) < 0)
		supervisor_set_reason(s, "%s", why);
	else if (supervisor_spawn(s, &spawn, true) == 0) {
		supervisor_set_state(s, SUPERVISOR_BUILDING, "%s", s->plan.kind);
		return;
	}
	supervisor_fail(s);
}

/* From the beginning: what is in the folder may have changed. */
static void supervisor_begin(struct supervisor *s)
{
	const struct os_app_config *app = &s->config.run->app;
	const struct app_overrides overrides = {
		.build = app->build,
		.wasm = app->wasm,
		.files = app->has_kind && app->kind == APP_FILES,
	};
	char why[APP_WHY_MAX];
	int r = supervisor_prepare(s, why);

	s->ran = s->again = s->hopeless = s->has_reason = false;
	backoff_reset(&s->backoff);
	app_plan_clear(&s->plan);
	s->kind = NULL;
	if (r == 0)
		r = app_detect(
			s->config.run->project_path, &overrides, s->build_dir, &s->plan, why);
	if (r < 0) {
		supervisor_set_reason(s, "%s", why);
		supervisor_fail(s);
	} else if (s->plan.build) {
		supervisor_build(s);
	} else {
		supervisor_launch(s);
	}
}

/* The last line that the child has written to the stream; false: none. */
static bool supervisor_last_words(
	const struct supervisor *s, enum log_stream stream, char *buf, size_t size)
{
	struct log_line line;

	for (uint64_t seq = log_ring_next(s->ring) - 1; seq >= s->first_line; seq--)
		if (log_ring_get(s->ring, seq, &line) && line.stream == stream) {
			log_escape(buf, size, line.text, line.len);
			return true;
		}
	return false;
}

static void supervisor_app_ended(struct supervisor *s, int status)
{
	bool content = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	char end[REASON_MAX / 4], words[REASON_MAX / 2];

	supervisor_describe_end(status, end, sizeof end);
	if (WIFEXITED(status) && WEXITSTATUS(status) >= GUEST_CANNOT &&
		supervisor_last_words(s, LOG_STREAM_STDERR, words, sizeof words))
		supervisor_set_reason(s, "%s: %s", end, words);
	else if (!s->ran)
		supervisor_set_reason(s, "it ended before it took a connection: %s", end);
	else if (content)
		supervisor_set_reason(s, "it ended by itself: %s", end);
	else
		supervisor_set_reason(s, "%s", end);
	if (!s->ran) {
		supervisor_fail(s);
	} else if (content) {
		supervisor_set_state(s, SUPERVISOR_STOPPED, "%s", s->reason);
	} else {
		s->restarts++;
		supervisor_set_state(s, SUPERVISOR_RESTARTING, "%s", s->reason);
	}
}

static void supervisor_build_ended(struct supervisor *s, int status)
{
	const char *builder = app_plan_builder(&s->plan);
	char end[REASON_MAX / 4], why[APP_WHY_MAX];

	if (WIFEXITED(status) && WEXITSTATUS(status) == APP_BUILD_LACKS && s->plan.tools &&
		supervisor_last_words(s, LOG_STREAM_BUILD, why, sizeof why))
		supervisor_set_reason(s, "%s", why);
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		supervisor_set_reason(s, "the build with '%s' has failed: %s", builder,
			supervisor_describe_end(status, end, sizeof end));
	else if (app_build_finish(&s->plan, why) < 0)
		supervisor_set_reason(
			s, "the build with '%s' made nothing to run: %s", builder, why);
	else {
		supervisor_launch(s);
		return;
	}
	supervisor_fail(s);
}

static void on_gate_closed(struct gate *gate)
{
	struct supervisor *s = gate->owner;
	void (*closed)(void *owner) = s->closed;
	void *owner = s->closed_owner;

	app_plan_clear(&s->plan);
	free(s->build_dir);
	free(s->module_dir);
	free(s);
	closed(owner);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct supervisor *s = handle->data;

	gate_close(&s->gate);
}

static void on_child_ready(struct child *child)
{
	struct supervisor *s = child->owner;

	if (s->state != SUPERVISOR_STARTING || s->closing)
		return;
	s->ran = true;
	supervisor_set_state(s, SUPERVISOR_RUNNING, "takes connections at %s", s->url);
}

static void on_child_ended(struct child *child, int status)
{
	struct supervisor *s = child->owner;

	if (s->closing) {
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	} else if (s->state == SUPERVISOR_BUILDING) {
		supervisor_build_ended(s, status);
	} else if (s->state != SUPERVISOR_STOPPING) {
		supervisor_app_ended(s, status);
	} else if (s->again) {
		supervisor_begin(s);
	} else if (s->hopeless) {
		supervisor_fail(s);
	} else {
		supervisor_set_reason(s, "stopped on request");
		supervisor_set_state(s, SUPERVISOR_STOPPED, "%s", s->reason);
	}
}

static void supervisor_end_child(struct supervisor *s, const char *cause)
{
	child_kill(&s->child, SIGTERM);
	supervisor_set_state(s, SUPERVISOR_STOPPING, "%s", cause);
}

/* A build or a start that takes too long. */
static void supervisor_give_up(struct supervisor *s)
{
	char text[OPTION_DURATION_TEXT_MAX];

	option_format_duration(state_deadline_ms(s), text);
	if (s->state == SUPERVISOR_BUILDING)
		supervisor_set_reason(s, "the build has not ended in %s", text);
	else
		supervisor_set_reason(s,
			"it has not turned to its listening socket in %s: a server takes "
			"connections from the one that it is given",
			text);
	s->hopeless = true;
	supervisor_end_child(s, s->reason);
}

static void on_timer(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	if (s->state == SUPERVISOR_STOPPING || s->closing)
		child_kill(&s->child, SIGKILL);
	else if (s->state == SUPERVISOR_RUNNING)
		backoff_reset(&s->backoff);
	else if (s->state == SUPERVISOR_RESTARTING)
		supervisor_launch(s);
	else
		supervisor_give_up(s);
}

int supervisor_new(uv_loop_t *loop, const struct supervisor_config *config, struct log_ring *ring,
	const struct supervisor_events *events, struct supervisor **ret_supervisor)
{
	struct supervisor *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct supervisor){
		.loop = loop, .config = *config, .ring = ring, .events = *events
	};
	if (!s->config.start_timeout_ms)
		s->config.start_timeout_ms = START_TIMEOUT_MS;
	s->since_ms = clock_wall_ms();
	s->child = (struct child){
		.ring = ring, .ready = on_child_ready, .ended = on_child_ended, .owner = s
	};
	s->gate = (struct gate){ .closed = on_gate_closed, .owner = s };
	r = gate_open(&s->gate, loop, (uint16_t)config->run->app.port);
	if (r < 0) {
		free(s);
		return r;
	}
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->gate.port);
	backoff_init(&s->backoff, NULL);
	(void)uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	*ret_supervisor = s;
	return 0;
}

void supervisor_start(struct supervisor *s)
{
	if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED)
		supervisor_begin(s);
	else if (s->state == SUPERVISOR_RESTARTING)
		supervisor_launch(s);
	else if (s->state == SUPERVISOR_STOPPING)
		s->again = true;
}

void supervisor_stop(struct supervisor *s)
{
	s->again = false;
	if (s->state == SUPERVISOR_FAILED || s->state == SUPERVISOR_RESTARTING)
		supervisor_set_state(s, SUPERVISOR_STOPPED, "stopped");
	else if (child_runs(&s->child) && s->state != SUPERVISOR_STOPPING)
		supervisor_end_child(s, "stop");
}

void supervisor_restart(struct supervisor *s)
{
	s->again = true;
	if (!child_runs(&s->child))
		supervisor_begin(s);
	else if (s->state != SUPERVISOR_STOPPING)
		supervisor_end_child(s, "restart");
}

void supervisor_status(const struct supervisor *s, struct supervisor_status *ret_status)
{
	bool app = child_runs(&s->child) && s->state != SUPERVISOR_BUILDING;
	struct proc_usage usage = { 0 };

	if (app)
		proc_usage_read(s->child.proc.pid, &usage);
	*ret_status = (struct supervisor_status){
		.state = s->state,
		.starts_again = s->again,
		.kind = s->kind,
		.pid = app ? s->child.proc.pid : 0,
		.port = s->gate.port,
		.url = s->url,
		.memory_bytes = usage.memory_bytes,
		.cpu_ms = usage.cpu_ms,
		.restarts = s->restarts,
		.exit_reason = s->has_reason ? s->reason : NULL,
		.since_ms = s->since_ms,
	};
}

void supervisor_close(struct supervisor *s, void (*closed)(void *owner), void *owner)
{
	if (s->closing) {
		child_kill(&s->child, SIGKILL);
		return;
	}
	s->closing = true;
	s->closed = closed;
	s->closed_owner = owner;
	if (!child_runs(&s->child)) {
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
		return;
	}
	child_kill(&s->child, SIGTERM);
	(void)uv_timer_start(&s->timer, on_timer, STOP_TIMEOUT_MS, 0);
}
