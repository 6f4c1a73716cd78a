/* SPDX-License-Identifier: MIT */
/*
 * The machine. `state` is written by supervisor_set_state() alone, which is the last thing that any
 * function here does but supervisor_settle(): the owner may call in again from the event.
 *
 * `app` runs exactly in STARTING, RUNNING and STOPPING, `next` beside it in the first two. What was
 * replaced is in `old` until it has ended. The builder works for `app` in BUILDING, else for
 * `next`.
 */
#include "os/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "conf/option_value.h"
#include "os/builder.h"
#include "os/gate.h"
#include "os/launcher.h"
#include "os/log_ring.h"
#include "os/proc_usage.h"
#include "os/process.h"
#include "os/restarts.h"
#include "os/run_config.h"
#include "os/supervisor_state.h"

#define START_TIMEOUT_MS (2U * 60 * 1000) /* compiling a large module takes a while */
#define DRAIN_TIMEOUT_MS 10000
#define OLD_MAX 3 /* that finish their connections at a time: each may be large */
#define REASON_MAX BUILDER_WHY_MAX

struct supervisor {
	uv_loop_t *loop;
	struct supervisor_config config;
	struct log_ring *ring;
	struct supervisor_events events;

	enum supervisor_state state;
	enum supervisor_next next_state;
	uint64_t since_ms; /* wall clock */
	uv_timer_t timer;  /* the state's deadline */
	struct process *app, *next;
	struct list old;  /* of processes; they drain, or end */
	struct gate gate; /* owns the listening socket */
	struct builder builder;
	struct launcher launcher;
	struct restarts restarts;
	uint64_t restart_ms;  /* how long to be RESTARTING */
	const char *kind;     /* of `app`, one of app_interface_words; NULL: none was built yet */
	struct app_plan plan; /* of `app`; that of `next` is still the builder's */
	uint64_t restart_count;
	bool wanted;   /* the last one to call was no stop */
	bool stale;    /* what runs, or is on its way, is to be replaced */
	bool ran;      /* this application has been running */
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
	case SUPERVISOR_RUNNING:
		return RESTARTS_STEADY_MS;
	case SUPERVISOR_RESTARTING:
		return s->restart_ms;
	default:
		return 0; /* the processes have deadlines of their own */
	}
}

static void supervisor_tell_crashes(struct supervisor *s, bool end)
{
	char line[RESTARTS_LINE_MAX];

	if (!restarts_tell(&s->restarts, end, clock_now_ms(), line))
		return;
	log_ring_append(s->ring, LOG_STREAM_SUPERVISOR, line, strlen(line));
	s->events.crashed(s->events.owner, line);
}

static void supervisor_end_episode(struct supervisor *s)
{
	supervisor_tell_crashes(s, true);
	restarts_settle(&s->restarts);
}

/* Around and around in these, an episode of crashes goes on. */
static bool state_circles(enum supervisor_state state)
{
	return state == SUPERVISOR_RESTARTING || state == SUPERVISOR_STARTING ||
	       state == SUPERVISOR_RUNNING;
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
	if (!state_circles(state))
		supervisor_end_episode(s);
	s->state = state;
	s->since_ms = clock_wall_ms();
	n = snprintf(line, sizeof line, "%s -> %s (%s)", supervisor_state_name(old),
		supervisor_state_name(state), cause);
	/* What follows the second crash of an episode is told as a number. */
	if (s->restarts.crashes < 2)
		log_ring_append(s->ring, LOG_STREAM_SUPERVISOR, line, (size_t)n);
	deadline_ms = state_deadline_ms(s);
	if (deadline_ms)
		(void)uv_timer_start(&s->timer, on_timer, deadline_ms, 0);
	else
		(void)uv_timer_stop(&s->timer);
	gate_set(&s->gate,
		supervisor_gate_state(state, deadline_ms, restarts_for_visitors(&s->restarts)));
	s->events.state(s->events.owner, old, state, cause);
}

/* NULL: the next one has replaced the application. */
static void supervisor_set_next(struct supervisor *s, enum supervisor_next next, const char *cause)
{
	const char *name = supervisor_next_name(next);
	char line[REASON_MAX + 64];
	int n = snprintf(line, sizeof line, "next: %s (%s)", name ? name : "none",
		cause ? cause : "it serves");

	s->next_state = next;
	log_ring_append(s->ring, LOG_STREAM_SUPERVISOR, line, (size_t)n);
	s->events.next(s->events.owner, next, cause);
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

/* The next one comes to nothing, and `reason` says why: who serves goes on. */
static void supervisor_give_up_next(struct supervisor *s)
{
	supervisor_set_next(s, SUPERVISOR_NEXT_NONE, s->reason);
}

static void on_process_ready(void *owner, struct process *p);
static void on_process_late(void *owner, struct process *p);
static void on_process_ended(void *owner, struct process *p, int status);

/* Negative errno: nothing runs, and `reason` says why. */
static int supervisor_spawn(
	struct supervisor *s, const struct app_plan *plan, struct process **ret_process)
{
	const struct process_events events = { .ready = on_process_ready,
		.late = on_process_late,
		.ended = on_process_ended,
		.owner = s };
	char why[APP_WHY_MAX];
	int r = launcher_start(&s->launcher, plan, &events, ret_process, why);

	if (r < 0)
		supervisor_set_reason(s, "%s", why);
	return r;
}

static void supervisor_launch(struct supervisor *s)
{
	int r = supervisor_spawn(s, &s->plan, &s->app);

	s->kind = s->launcher.kind;
	restarts_started(&s->restarts, clock_now_ms());
	if (r < 0)
		supervisor_fail(s);
	else
		supervisor_set_state(
			s, SUPERVISOR_STARTING, "%s, pid %d", s->kind, (int)process_pid(s->app));
}

static void supervisor_launch_next(struct supervisor *s)
{
	char cause[64];

	if (supervisor_spawn(s, builder_plan(&s->builder), &s->next) < 0) {
		supervisor_give_up_next(s);
		return;
	}
	snprintf(cause, sizeof cause, "%s, pid %d", s->launcher.kind, (int)process_pid(s->next));
	supervisor_set_next(s, SUPERVISOR_NEXT_STARTING, cause);
}

/* There is a plan, and maybe something that serves meanwhile. */
static void supervisor_built(struct supervisor *s)
{
	if (s->app) {
		supervisor_launch_next(s);
		return;
	}
	s->next_state = SUPERVISOR_NEXT_NONE;
	builder_take_plan(&s->builder, &s->plan);
	supervisor_launch(s);
}

/* From the beginning: what is in the folder may have changed. A build that runs goes on. */
static void supervisor_begin(struct supervisor *s)
{
	int r = BUILDER_RUNS;

	app_plan_clear(&s->plan);
	s->kind = NULL;
	if (!builder_runs(&s->builder)) {
		s->stale = false;
		r = builder_start(&s->builder);
	}
	s->ran = s->again = s->hopeless = s->has_reason = false;
	s->next_state = SUPERVISOR_NEXT_NONE;
	supervisor_end_episode(s);
	restarts_reset(&s->restarts);
	if (r < 0) {
		supervisor_set_reason(s, "%s", builder_why(&s->builder));
		supervisor_fail(s);
	} else if (r == BUILDER_RUNS) {
		supervisor_set_state(s, SUPERVISOR_BUILDING, "%s", builder_plan(&s->builder)->kind);
	} else {
		supervisor_built(s);
	}
}

/* Builds what is to replace the application. */
static void supervisor_update(struct supervisor *s)
{
	int r = builder_start(&s->builder);

	if (r < 0) {
		supervisor_set_reason(s, "%s", builder_why(&s->builder));
		supervisor_give_up_next(s);
	} else if (r == BUILDER_RUNS) {
		supervisor_set_next(s, SUPERVISOR_NEXT_BUILDING, builder_plan(&s->builder)->kind);
	} else {
		supervisor_built(s);
	}
}

/* The end of each of the loop's callbacks: what was put off while something was under way. */
static void supervisor_settle(struct supervisor *s)
{
	if (!s->stale || s->closing || s->next || builder_runs(&s->builder))
		return;
	if (s->state == SUPERVISOR_RUNNING || s->state == SUPERVISOR_RESTARTING) {
		s->stale = false;
		supervisor_update(s);
	} else if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED) {
		s->stale = false;
		supervisor_begin(s);
	}
}

/* Nothing is left that a stop or a restart waits for. */
static bool supervisor_idle(const struct supervisor *s)
{
	return !s->app && !s->next && !builder_runs(&s->builder) &&
	       (s->again || list_empty(&s->old));
}

/* A restart leaves those alone that were replaced before. */
static void supervisor_end_all(struct supervisor *s)
{
	builder_end(&s->builder);
	process_end(s->next);
	process_end(s->app);
	if (!s->again)
		list_for_each(link, &s->old)
			process_end(list_entry(link, struct process, link));
}

static void supervisor_retire(struct supervisor *s, struct process *p)
{
	unsigned count = 0;

	list_push_front(&s->old, &p->link);
	process_drain(p, s->config.drain_timeout_ms);
	list_for_each(link, &s->old)
		if (++count > OLD_MAX)
			process_end(list_entry(link, struct process, link));
}

/* The next one takes the application's place, which is free. */
static void supervisor_promote(struct supervisor *s)
{
	s->app = take_ptr(s->next);
	s->kind = s->launcher.kind;
	supervisor_end_episode(s);
	restarts_reset(&s->restarts);
	restarts_started(&s->restarts, clock_now_ms());
	s->next_state = SUPERVISOR_NEXT_NONE;
	builder_take_plan(&s->builder, &s->plan);
}

static void supervisor_set_late(struct supervisor *s, const struct process *p)
{
	const struct app_plan *plan = p == s->app ? &s->plan : builder_plan(&s->builder);
	char text[OPTION_DURATION_TEXT_MAX], hint[MODULE_HINT_MAX];

	option_format_duration(s->config.start_timeout_ms, text);
	supervisor_set_reason(s, "it has not turned to its listening socket in %s: %s", text,
		module_hint(app_plan_file(plan),
			SPAWN_LISTEN_FD + (unsigned)s->config.run->app.dirs.count, hint));
}

static void supervisor_describe_app_end(struct supervisor *s, const struct process *p, int status)
{
	const char *kind = p == s->app ? s->kind : s->launcher.kind;
	const char *words = process_last_words(p);
	char end[REASON_MAX - 64];

	supervisor_describe_end(status, end, sizeof end);
	/* The wasmtime command says why in words only. */
	if (kind && strncmp(kind, "component", strlen("component")) == 0 && WIFEXITED(status) &&
		WEXITSTATUS(status) != 0 && *words) {
		size_t len = strlen(end);

		(void)snprintf(end + len, sizeof end - len, ": %s", words + strspn(words, " "));
	}
	if (p->late)
		supervisor_set_late(s, p);
	else if (*process_why(p))
		supervisor_set_reason(s, "%s", process_why(p));
	else if (p != s->app || !s->ran)
		supervisor_set_reason(s, "it ended before it took a connection: %s", end);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		supervisor_set_reason(s, "it ended by itself: %s", end);
	else
		supervisor_set_reason(s, "%s", end);
}

static void supervisor_app_ended(struct supervisor *s, enum process_stage stage, int status)
{
	s->app = NULL;
	if (s->next && s->next->state == PROCESS_STARTING) {
		s->restart_count++;
		supervisor_promote(s);
		supervisor_set_state(s, SUPERVISOR_STARTING, "%s", s->reason);
	} else if (!s->ran) {
		supervisor_fail(s);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && stage < PROCESS_VISITED) {
		/* Its own wish: no visitor can have brought it to that. */
		supervisor_set_state(s, SUPERVISOR_STOPPED, "%s", s->reason);
	} else {
		s->restart_count++;
		s->restart_ms = restarts_crashed(&s->restarts, stage, s->reason, clock_now_ms());
		supervisor_tell_crashes(s, false);
		supervisor_set_state(s, SUPERVISOR_RESTARTING, "%s", s->reason);
	}
}

static void on_gate_closed(struct gate *gate)
{
	struct supervisor *s = gate->owner;
	void (*closed)(void *owner) = s->closed;
	void *owner = s->closed_owner;

	app_plan_clear(&s->plan);
	launcher_deinit(&s->launcher);
	free(s);
	closed(owner);
}

static void on_builder_closed(void *owner)
{
	struct supervisor *s = owner;

	gate_close(&s->gate);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct supervisor *s = handle->data;

	builder_close(&s->builder, on_builder_closed);
}

/* Something has ended that a stop, a restart or the end has asked for. */
static void supervisor_ended(struct supervisor *s)
{
	if (!supervisor_idle(s))
		return;
	if (s->closing) {
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	} else if (s->again) {
		supervisor_begin(s);
	} else if (s->hopeless) {
		supervisor_fail(s);
	} else {
		supervisor_set_reason(s, "stopped on request");
		supervisor_set_state(s, SUPERVISOR_STOPPED, "%s", s->reason);
	}
}

/* The old one goes on with what it has begun. */
static void supervisor_switch(struct supervisor *s)
{
	struct process *old = take_ptr(s->app);

	supervisor_promote(s);
	supervisor_retire(s, old);
	app_plan_settle(&s->plan);
	s->ran = true;
	s->has_reason = false;
	if (s->state == SUPERVISOR_STARTING)
		supervisor_set_state(s, SUPERVISOR_RUNNING, "replaced");
	supervisor_set_next(s, SUPERVISOR_NEXT_NONE, NULL);
}

static void on_process_ready(void *owner, struct process *p)
{
	struct supervisor *s = owner;

	if (s->closing || s->state == SUPERVISOR_STOPPING)
		return;
	if (p == s->next) {
		supervisor_switch(s);
	} else {
		s->ran = true;
		app_plan_settle(&s->plan);
		supervisor_set_state(s, SUPERVISOR_RUNNING, "takes connections at %s", s->url);
	}
	supervisor_settle(s);
}

static void on_process_ended(void *owner, struct process *p, int status)
{
	struct supervisor *s = owner;

	list_remove(&p->link);
	if (s->closing || s->state == SUPERVISOR_STOPPING) {
		s->app = p == s->app ? NULL : s->app;
		s->next = p == s->next ? NULL : s->next;
		supervisor_ended(s);
	} else if (p == s->next) {
		supervisor_describe_app_end(s, p, status);
		s->next = NULL;
		supervisor_give_up_next(s);
	} else if (p == s->app) {
		supervisor_describe_app_end(s, p, status);
		supervisor_app_ended(s, p->stage, status);
	}
	supervisor_settle(s);
}

static void supervisor_stop_all(struct supervisor *s, const char *cause)
{
	supervisor_end_all(s);
	s->next_state = SUPERVISOR_NEXT_NONE;
	supervisor_set_state(s, SUPERVISOR_STOPPING, "%s", cause);
}

static void on_process_late(void *owner, struct process *p)
{
	struct supervisor *s = owner;

	/* The end of the next one is told, and changes nothing. */
	if (p != s->app || s->closing || s->state == SUPERVISOR_STOPPING)
		return;
	supervisor_set_late(s, p);
	s->hopeless = true;
	supervisor_stop_all(s, s->reason);
}

static void on_built(void *owner, int r)
{
	struct supervisor *s = owner;

	if (s->closing || s->state == SUPERVISOR_STOPPING) {
		supervisor_ended(s);
	} else if (r == 0) {
		supervisor_built(s);
	} else {
		supervisor_set_reason(s, "%s", builder_why(&s->builder));
		if (s->state == SUPERVISOR_BUILDING)
			supervisor_fail(s);
		else
			supervisor_give_up_next(s);
	}
	supervisor_settle(s);
}

static void on_changed(void *owner)
{
	struct supervisor *s = owner;

	s->stale = s->wanted;
	supervisor_settle(s);
}

static void on_timer(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	if (s->closing)
		return;
	if (s->state == SUPERVISOR_RUNNING)
		supervisor_end_episode(s);
	else if (s->state == SUPERVISOR_RESTARTING)
		supervisor_launch(s);
}

/* A visitor waits in RESTARTING. */
static void on_gate_wanted(struct gate *gate)
{
	struct supervisor *s = gate->owner;
	uint64_t wait_ms = restarts_visitor_ms(&s->restarts, clock_now_ms());

	if (wait_ms < uv_timer_get_due_in(&s->timer))
		(void)uv_timer_start(&s->timer, on_timer, wait_ms, 0);
	gate_set(gate, GATE_PAUSED);
}

/* What builds and what starts the instances. */
static void supervisor_equip(struct supervisor *s)
{
	const struct builder_config config = { .loop = s->loop,
		.run = s->config.run,
		.ring = s->ring,
		.open_files = s->config.open_files };
	const struct builder_events events = {
		.done = on_built, .changed = on_changed, .owner = s
	};

	builder_init(&s->builder, &config, &events);
	s->launcher.config = (struct launcher_config){ .loop = s->loop,
		.run = s->config.run,
		.guest_program = s->config.guest_program,
		.open_files = s->config.open_files,
		.start_timeout_ms = s->config.start_timeout_ms,
		.listen_fd = s->gate.fd,
		.listen_addr = s->url + strlen("http://"),
		.ring = s->ring };
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
	if (!s->config.drain_timeout_ms)
		s->config.drain_timeout_ms = DRAIN_TIMEOUT_MS;
	s->since_ms = clock_wall_ms();
	list_init(&s->old);
	s->gate = (struct gate){ .wanted = on_gate_wanted, .closed = on_gate_closed, .owner = s };
	r = gate_open(&s->gate, loop, (uint16_t)config->run->app.port);
	if (r < 0) {
		free(s);
		return r;
	}
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->gate.port);
	restarts_reset(&s->restarts);
	(void)uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	supervisor_equip(s);
	*ret_supervisor = s;
	return 0;
}

void supervisor_start(struct supervisor *s)
{
	s->wanted = true;
	if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED)
		supervisor_begin(s);
	else if (s->state == SUPERVISOR_RESTARTING)
		supervisor_launch(s);
	else if (s->state == SUPERVISOR_STOPPING)
		s->again = true;
}

void supervisor_stop(struct supervisor *s)
{
	s->wanted = s->stale = s->again = s->hopeless = false;
	if (s->state == SUPERVISOR_STOPPING)
		supervisor_end_all(s);
	else if (!supervisor_idle(s))
		supervisor_stop_all(s, "stop");
	else if (s->state != SUPERVISOR_STOPPED)
		supervisor_set_state(s, SUPERVISOR_STOPPED, "stopped");
}

void supervisor_restart(struct supervisor *s)
{
	s->wanted = true;
	switch (s->state) {
	case SUPERVISOR_RUNNING:
		s->stale = true;
		supervisor_settle(s);
		break;
	case SUPERVISOR_BUILDING:
	case SUPERVISOR_STARTING:
		s->again = true;
		supervisor_stop_all(s, "restart");
		break;
	case SUPERVISOR_STOPPING:
		s->again = true;
		break;
	default:
		/* A build that runs may have begun before the last change. */
		s->stale = builder_runs(&s->builder);
		supervisor_begin(s);
	}
}

void supervisor_status(const struct supervisor *s, struct supervisor_status *ret_status)
{
	pid_t pid = process_pid(s->app);
	struct proc_usage usage = { 0 };

	if (pid)
		proc_usage_read(pid, &usage);
	*ret_status = (struct supervisor_status){
		.state = s->state,
		.next = s->next_state,
		.starts_again = s->again,
		.kind = s->kind,
		.pid = pid,
		.port = s->gate.port,
		.url = s->url,
		.memory_bytes = usage.memory_bytes,
		.cpu_ms = usage.cpu_ms,
		.restarts = s->restart_count,
		.exit_reason = s->has_reason ? s->reason : NULL,
		.since_ms = s->since_ms,
	};
}

static void supervisor_kill_all(struct supervisor *s)
{
	builder_kill(&s->builder);
	process_kill(s->next);
	process_kill(s->app);
	list_for_each(link, &s->old)
		process_kill(list_entry(link, struct process, link));
}

void supervisor_close(struct supervisor *s, void (*closed)(void *owner), void *owner)
{
	if (s->closing) {
		supervisor_kill_all(s);
		return;
	}
	s->closing = true;
	s->again = false;
	supervisor_end_episode(s);
	s->closed = closed;
	s->closed_owner = owner;
	supervisor_end_all(s);
	supervisor_ended(s);
}
