/* SPDX-License-Identifier: MIT */
/*
 * Promise: as long as the last call was no stop, the application runs, or is on its way, or has
 * FAILED for a reason that the user can read; one that serves does so until the next one does.
 *
 * There are three kinds of instances. `app` is the application as others see it: it exists in
 * STARTING and RUNNING, and in STOPPING until it has ended. `next` is to replace it, and is always
 * starting. `old` are those that were replaced or came to nothing, and finish or end. Each owns its
 * plan; that of a crashed `app` comes back to `plan`, to be started again. The builder works for
 * `app` in BUILDING, and for what is to replace it in all other states.
 *
 * Events, and what they do in each state ("=" nothing, "later" see `stale`):
 *
 *             STOPPED, FAILED   BUILDING    STARTING     RUNNING      RESTARTING    STOPPING
 *  start      begin             =           =            =            launch        then begin
 *  restart    begin             STOPPING,   STOPPING,    update       begin         then begin
 *                               then begin  then begin
 *  stop       STOPPED           STOPPING    STOPPING     STOPPING     STOPPED       then STOPPED
 *  changed    begin (not after  later       later        update       update        later
 *             a stop)
 *  built      launch            launch      launch next  launch next  launch        ended
 *  not built  =                 FAILED      =            =            =             ended
 *  app ready  -                 -           RUNNING      -            -             -
 *  app late   -                 -           STOPPING,    -            -             -
 *                                           then FAILED
 *  app ended  -                 -           see supervisor_app_ended()              ended
 *  next ready -                 -           switch       switch       -             -
 *  next late  -                 -           to `old`     to `old`     -             -
 *  next ended -                 -           =            =            -             ended
 *  old ended  =                 =           =            =            =             ended
 *  timer      -                 -           -            the episode  launch        -
 *                                                        is over
 *  visitor    -                 -           -            -            launch soon   -
 *  close      everything is ended in any state, and *s freed behind the last end
 *
 * To begin is to detect and build anew, with all of the past forgotten; to update is the same for
 * `next` while `app` goes on; to launch is to start what was built. "stop" leads to STOPPING
 * wherever something has to end first. "ended": the last one takes STOPPING to where `intent` says.
 *
 * An event is a function here that ends with supervisor_leave(). Whatever is done before that only
 * notes what the owner has to be told; supervisor_leave() tells it, when nothing is half done: the
 * owner may call in again from there.
 */
#include "os/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/owner.h"
#include "os/builder.h"
#include "os/gate.h"
#include "os/instance.h"
#include "os/log_ring.h"
#include "os/proc_usage.h"
#include "os/restarts.h"
#include "os/run_config.h"
#include "os/supervisor_state.h"

#define START_TIMEOUT_MS (2U * 60 * 1000) /* compiling a large module takes a while */
#define DRAIN_TIMEOUT_MS 10000
#define OLD_MAX 3 /* that finish their connections at a time: each may be large */
#define REASON_MAX BUILDER_WHY_MAX

/* What is to come of the state, above all of STOPPING. */
enum intent {
	INTENT_STOP, /* STOPPED, STOPPING: nothing runs, and a change doesn't start it */
	INTENT_RUN,  /* any state: it runs, or a change may bring it back; STOPPING: then begin */
	INTENT_GIVE_UP, /* STOPPING: then FAILED, and `reason` says why; from there on RUN */
	INTENT_CLOSE,   /* any state, which is left as it is: then *s is freed */
};

/* What the owner isn't told yet. */
struct supervisor_news {
	bool state, next;
	enum supervisor_state old_state;
	enum supervisor_next new_next;
	char state_cause[REASON_MAX];
	char next_cause[REASON_MAX]; /* "": it serves */
};

struct supervisor {
	uv_loop_t *loop;
	struct supervisor_config config;
	struct instance_config instance_config;
	struct log_ring *ring;
	struct supervisor_events events;

	enum supervisor_state state;
	enum intent intent;
	/*
	 * A change or a restart has come since the last build began. It is no intent: it may come
	 * in any state and with any intent, and waits until another build can begin.
	 */
	bool stale;
	bool ran;          /* this application has been running */
	uint64_t since_ms; /* wall clock, of the state */
	uv_timer_t timer;  /* the state's deadline */
	struct instance *app, *next;
	struct list old;      /* of instances */
	struct gate gate;     /* owns the listening socket */
	struct app_plan plan; /* what supervisor_launch() starts; empty while `app` has it */
	const char *kind;     /* of `app`, one of app_interface_words; NULL: none was built yet */
	struct builder builder;
	struct restarts restarts;
	uint64_t restart_count;
	struct supervisor_news news;
	char reason[REASON_MAX]; /* why the last one has ended; "": none has */
	char url[32];

	void (*closed)(void *owner);
	void *closed_owner;
};

static void on_timer(uv_timer_t *timer);

/* What is to replace the application. */
static enum supervisor_next supervisor_next(const struct supervisor *s)
{
	if (s->state == SUPERVISOR_BUILDING || s->state == SUPERVISOR_STOPPING)
		return SUPERVISOR_NEXT_NONE;
	if (s->next)
		return SUPERVISOR_NEXT_STARTING;
	return builder_runs(&s->builder) ? SUPERVISOR_NEXT_BUILDING : SUPERVISOR_NEXT_NONE;
}

static _printf_(3, 4) void supervisor_set_state(
	struct supervisor *s, enum supervisor_state state, const char *fmt, ...)
{
	struct supervisor_news *news = &s->news;
	char line[REASON_MAX + 64];
	uint64_t deadline_ms;
	va_list ap;
	int n;

	/* A change that isn't told yet: somebody has come by supervisor_leave(). */
	assert(!news->state);
	assert(supervisor_edge(s->state, state));
	news->state = true;
	news->old_state = s->state;
	va_start(ap, fmt);
	(void)vsnprintf(news->state_cause, sizeof news->state_cause, fmt, ap);
	va_end(ap);
	if (!supervisor_circles(state))
		restarts_end_episode(&s->restarts, clock_now_ms());
	s->state = state;
	s->since_ms = clock_wall_ms();
	n = snprintf(line, sizeof line, "%s -> %s (%s)", supervisor_state_name(news->old_state),
		supervisor_state_name(state), news->state_cause);
	/* What follows the second crash of an episode is told as a number. */
	if (s->restarts.crashes < 2)
		log_ring_append(s->ring, LOG_STREAM_SUPERVISOR, line, (size_t)n);
	/* The instances and the build have deadlines of their own. */
	deadline_ms = state == SUPERVISOR_RUNNING      ? RESTARTS_STEADY_MS
		      : state == SUPERVISOR_RESTARTING ? s->restarts.wait_ms
						       : 0;
	(void)uv_timer_stop(&s->timer);
	if (deadline_ms)
		(void)uv_timer_start(&s->timer, on_timer, deadline_ms, 0);
	gate_set(&s->gate,
		supervisor_gate_state(state, deadline_ms, restarts_for_visitors(&s->restarts)));
}

/* Of what is to replace the application. `cause` NULL: it has done so. */
static void supervisor_note_next(struct supervisor *s, const char *cause)
{
	enum supervisor_next next = supervisor_next(s);
	const char *name = supervisor_next_name(next);
	char line[REASON_MAX + 64];
	int n = snprintf(line, sizeof line, "next: %s (%s)", name ? name : "none",
		cause ? cause : "it serves");

	assert(!s->news.next);
	s->news.next = true;
	s->news.new_next = next;
	snprintf(s->news.next_cause, sizeof s->news.next_cause, "%s", cause ? cause : "");
	log_ring_append(s->ring, LOG_STREAM_SUPERVISOR, line, (size_t)n);
}

static void supervisor_set_reason(struct supervisor *s, const char *why)
{
	snprintf(s->reason, sizeof s->reason, "%s", why);
}

static void supervisor_fail(struct supervisor *s)
{
	supervisor_set_state(s, SUPERVISOR_FAILED, "%s", s->reason);
}

static void on_instance_ready(void *owner, struct instance *i);
static void on_instance_late(void *owner, struct instance *i);
static void on_instance_ended(void *owner, struct instance *i);

/* Takes *plan over. Negative errno: nothing runs, `reason` says why, and *plan is as it was. */
static int supervisor_spawn(struct supervisor *s, struct app_plan *plan, const char **ret_kind,
	struct instance **ret_instance)
{
	enum app_interface interface;
	char why[APP_WHY_MAX];
	int r = builder_check(&s->builder, plan, &interface, why);

	if (r == 0) {
		*ret_kind = app_interface_words[interface];
		r = instance_start(&s->instance_config, plan, interface, ret_instance, why);
	}
	if (r < 0)
		supervisor_set_reason(s, why);
	return r;
}

static void supervisor_launch(struct supervisor *s)
{
	int r;

	s->kind = NULL;
	r = supervisor_spawn(s, &s->plan, &s->kind, &s->app);
	restarts_started(&s->restarts, clock_now_ms());
	if (r < 0)
		supervisor_fail(s);
	else
		supervisor_set_state(
			s, SUPERVISOR_STARTING, "%s, pid %d", s->kind, (int)instance_pid(s->app));
}

static void supervisor_launch_next(struct supervisor *s)
{
	struct app_plan plan = { 0 };
	const char *kind;
	char cause[64];

	builder_take_plan(&s->builder, &plan);
	if (supervisor_spawn(s, &plan, &kind, &s->next) < 0) {
		app_plan_clear(&plan);
		supervisor_note_next(s, s->reason);
		return;
	}
	snprintf(cause, sizeof cause, "%s, pid %d", kind, (int)instance_pid(s->next));
	supervisor_note_next(s, cause);
}

/* There is a plan, and maybe something that serves meanwhile. */
static void supervisor_built(struct supervisor *s)
{
	if (s->app) {
		supervisor_launch_next(s);
		return;
	}
	builder_take_plan(&s->builder, &s->plan);
	supervisor_launch(s);
}

/* What is in the folder may have changed. A build that runs goes on, and its result is taken. */
static void supervisor_begin(struct supervisor *s)
{
	int r = BUILDER_RUNS;

	s->intent = INTENT_RUN;
	app_plan_clear(&s->plan);
	s->kind = NULL;
	s->ran = false;
	supervisor_set_reason(s, "");
	restarts_reset(&s->restarts, clock_now_ms());
	if (!builder_runs(&s->builder)) {
		s->stale = false;
		r = builder_start(&s->builder);
	}
	if (r < 0) {
		supervisor_set_reason(s, builder_why(&s->builder));
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

	s->stale = false;
	if (r < 0) {
		supervisor_set_reason(s, builder_why(&s->builder));
		supervisor_note_next(s, s->reason);
	} else if (r == BUILDER_RUNS) {
		supervisor_note_next(s, builder_plan(&s->builder)->kind);
	} else {
		supervisor_built(s);
	}
}

/* The state is left behind the last end only. */
static bool supervisor_winds_down(const struct supervisor *s)
{
	return s->intent == INTENT_CLOSE || s->state == SUPERVISOR_STOPPING;
}

/* What holds between two events. */
static void supervisor_check(const struct supervisor *s)
{
	assert(!s->news.state && !s->news.next);
	assert(s->intent != INTENT_GIVE_UP || s->state == SUPERVISOR_STOPPING);
	assert(s->intent != INTENT_STOP || s->state == SUPERVISOR_STOPPING ||
		s->state == SUPERVISOR_STOPPED);
	if (supervisor_winds_down(s))
		return;
	if (s->state == SUPERVISOR_STARTING)
		assert(s->app && s->app->state == INSTANCE_STARTING);
	else if (s->state == SUPERVISOR_RUNNING)
		assert(s->app && s->app->state == INSTANCE_READY);
	else
		assert(!s->app);
	assert(!s->next || (s->app && s->next->state == INSTANCE_STARTING));
	assert(s->state != SUPERVISOR_BUILDING || builder_runs(&s->builder));
}

/* The owner may call in again from each of the two, and hears what follows from that at once. */
static void supervisor_tell(struct supervisor *s)
{
	const struct supervisor_news news = s->news;

	s->news.state = false;
	if (news.state)
		s->events.state(s->events.owner, news.old_state, s->state, news.state_cause);
	if (!s->news.next)
		return;
	s->news.next = false;
	s->events.next(s->events.owner, news.new_next, *news.next_cause ? news.next_cause : NULL);
}

/* The one way out of each event: tells what has changed, and takes up what had to wait. */
static void supervisor_leave(struct supervisor *s)
{
	supervisor_tell(s);
	if (s->stale && s->intent == INTENT_RUN && !s->next && !builder_runs(&s->builder)) {
		if (s->state == SUPERVISOR_RUNNING || s->state == SUPERVISOR_RESTARTING)
			supervisor_update(s);
		else if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED)
			supervisor_begin(s);
		supervisor_tell(s);
	}
	supervisor_check(s);
}

/* Nothing is left that `intent` waits for. What was replaced may go on beside another start. */
static bool supervisor_idle(const struct supervisor *s)
{
	return !s->app && !s->next && !builder_runs(&s->builder) &&
	       (s->intent == INTENT_RUN || list_empty(&s->old));
}

static void supervisor_end_all(struct supervisor *s)
{
	builder_end(&s->builder);
	instance_end(s->next);
	instance_end(s->app);
	if (s->intent != INTENT_RUN)
		list_for_each(link, &s->old)
			instance_end(list_entry(link, struct instance, link));
}

/* Then to what `intent` says. */
static void supervisor_stop_all(struct supervisor *s, const char *cause)
{
	supervisor_end_all(s);
	supervisor_set_state(s, SUPERVISOR_STOPPING, "%s", cause);
}

static void on_gate_closed(struct gate *gate)
{
	struct supervisor *s = gate->owner;
	void (*closed)(void *owner) = s->closed;
	void *owner = s->closed_owner;

	app_plan_clear(&s->plan);
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

/* Something has ended. */
static void supervisor_wind_down(struct supervisor *s)
{
	if (!supervisor_idle(s))
		return;
	switch (s->intent) {
	case INTENT_STOP:
		supervisor_set_reason(s, "stopped on request");
		supervisor_set_state(s, SUPERVISOR_STOPPED, "%s", s->reason);
		break;
	case INTENT_RUN:
		supervisor_begin(s);
		break;
	case INTENT_GIVE_UP:
		s->intent = INTENT_RUN;
		supervisor_fail(s);
		break;
	case INTENT_CLOSE:
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	}
}

/* It may finish what it has begun, if others don't need the room. */
static void supervisor_retire(struct supervisor *s, struct instance *i)
{
	unsigned count = 0;

	list_push_front(&s->old, &i->link);
	instance_drain(i);
	list_for_each(link, &s->old)
		if (++count > OLD_MAX)
			instance_end(list_entry(link, struct instance, link));
}

/* The next one takes the application's place, which is free. */
static void supervisor_promote(struct supervisor *s)
{
	s->app = take_ptr(s->next);
	s->kind = instance_kind(s->app);
	restarts_reset(&s->restarts, clock_now_ms());
	restarts_started(&s->restarts, clock_now_ms());
}

static void supervisor_switch(struct supervisor *s)
{
	struct instance *old = take_ptr(s->app);

	supervisor_promote(s);
	supervisor_retire(s, old);
	s->ran = true;
	supervisor_set_reason(s, "");
	if (s->state == SUPERVISOR_STARTING)
		supervisor_set_state(s, SUPERVISOR_RUNNING, "replaced");
	supervisor_note_next(s, NULL);
}

static void on_instance_ready(void *owner, struct instance *i)
{
	struct supervisor *s = owner;

	if (i == s->next) {
		supervisor_switch(s);
	} else {
		s->ran = true;
		supervisor_set_state(s, SUPERVISOR_RUNNING, "takes connections at %s", s->url);
	}
	supervisor_leave(s);
}

static void on_instance_late(void *owner, struct instance *i)
{
	struct supervisor *s = owner;

	instance_explain_end(i, s->ran, s->reason);
	if (i == s->next) {
		supervisor_retire(s, take_ptr(s->next));
		supervisor_note_next(s, s->reason);
	} else {
		s->intent = INTENT_GIVE_UP;
		supervisor_stop_all(s, s->reason);
	}
	supervisor_leave(s);
}

static void supervisor_app_ended(struct supervisor *s, struct instance *i)
{
	instance_explain_end(i, s->ran, s->reason);
	if (s->next) {
		s->restart_count++;
		supervisor_promote(s);
		supervisor_set_state(s, SUPERVISOR_STARTING, "%s", s->reason);
	} else if (!s->ran || i->child.failed) {
		supervisor_fail(s);
	} else if (instance_was_content(i)) {
		supervisor_set_state(s, SUPERVISOR_STOPPED, "%s", s->reason);
	} else {
		s->restart_count++;
		instance_give_plan(i, &s->plan);
		restarts_crashed(&s->restarts, i->stage, s->reason, clock_now_ms());
		supervisor_set_state(s, SUPERVISOR_RESTARTING, "%s", s->reason);
	}
}

static void on_instance_ended(void *owner, struct instance *i)
{
	struct supervisor *s = owner;
	bool was_app = i == s->app, was_next = i == s->next;

	list_remove(&i->link);
	if (was_app)
		s->app = NULL;
	else if (was_next)
		s->next = NULL;
	if (supervisor_winds_down(s)) {
		supervisor_wind_down(s);
	} else if (was_app) {
		supervisor_app_ended(s, i);
	} else if (was_next) {
		instance_explain_end(i, false, s->reason);
		supervisor_note_next(s, s->reason);
	}
	supervisor_leave(s);
}

static void on_built(void *owner, int r)
{
	struct supervisor *s = owner;

	if (supervisor_winds_down(s)) {
		supervisor_wind_down(s);
	} else if (r == 0) {
		supervisor_built(s);
	} else {
		supervisor_set_reason(s, builder_why(&s->builder));
		if (s->state == SUPERVISOR_BUILDING)
			supervisor_fail(s);
		else
			supervisor_note_next(s, s->reason);
	}
	supervisor_leave(s);
}

static void on_changed(void *owner)
{
	struct supervisor *s = owner;

	s->stale = true;
	supervisor_leave(s);
}

static void on_timer(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	if (s->state == SUPERVISOR_RUNNING)
		restarts_end_episode(&s->restarts, clock_now_ms());
	else
		supervisor_launch(s);
	supervisor_leave(s);
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

static void on_crashes(void *owner, const char *line)
{
	struct supervisor *s = owner;

	log_ring_append(s->ring, LOG_STREAM_SUPERVISOR, line, strlen(line));
	s->events.crashed(s->events.owner, line);
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
	s->instance_config = (struct instance_config){ .loop = s->loop,
		.run = s->config.run,
		.guest_program = s->config.guest_program,
		.open_files = s->config.open_files,
		.start_timeout_ms =
			s->config.start_timeout_ms ? s->config.start_timeout_ms : START_TIMEOUT_MS,
		.drain_timeout_ms =
			s->config.drain_timeout_ms ? s->config.drain_timeout_ms : DRAIN_TIMEOUT_MS,
		.listen_fd = s->gate.fd,
		.listen_addr = s->url + strlen("http://"),
		.ring = s->ring,
		.events = { .ready = on_instance_ready,
			.late = on_instance_late,
			.ended = on_instance_ended,
			.owner = s } };
	restarts_init(&s->restarts, on_crashes, s);
}

int supervisor_new(uv_loop_t *loop, const struct supervisor_config *config, struct log_ring *ring,
	const struct supervisor_events *events, struct supervisor **ret_supervisor)
{
	struct supervisor *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->config = *config;
	s->ring = ring;
	s->events = *events;
	s->since_ms = clock_wall_ms();
	list_init(&s->old);
	s->gate = (struct gate){ .wanted = on_gate_wanted, .closed = on_gate_closed, .owner = s };
	r = gate_open(&s->gate, loop, (uint16_t)config->run->app.port);
	if (r < 0) {
		free(s);
		return r;
	}
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->gate.port);
	(void)uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	supervisor_equip(s);
	*ret_supervisor = s;
	return 0;
}

/* The owner calls in from an event: the rest of that comes first. */
static void supervisor_enter(struct supervisor *s)
{
	assert(s->intent != INTENT_CLOSE);
	supervisor_tell(s);
}

void supervisor_start(struct supervisor *s)
{
	supervisor_enter(s);
	if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED)
		supervisor_begin(s);
	else if (s->state == SUPERVISOR_RESTARTING)
		supervisor_launch(s);
	else
		s->intent = INTENT_RUN;
	supervisor_leave(s);
}

void supervisor_stop(struct supervisor *s)
{
	supervisor_enter(s);
	s->intent = INTENT_STOP;
	if (s->state == SUPERVISOR_STOPPING)
		supervisor_end_all(s);
	else if (!supervisor_idle(s))
		supervisor_stop_all(s, "stop");
	else if (s->state != SUPERVISOR_STOPPED)
		supervisor_set_state(s, SUPERVISOR_STOPPED, "stopped");
	supervisor_leave(s);
}

void supervisor_restart(struct supervisor *s)
{
	supervisor_enter(s);
	s->intent = INTENT_RUN;
	switch (s->state) {
	case SUPERVISOR_RUNNING:
		s->stale = true;
		break;
	case SUPERVISOR_BUILDING:
	case SUPERVISOR_STARTING:
		supervisor_stop_all(s, "restart");
		break;
	case SUPERVISOR_STOPPING:
		break;
	default:
		/* A build that runs may have begun before the last change. */
		s->stale = true;
		supervisor_begin(s);
	}
	supervisor_leave(s);
}

void supervisor_status(const struct supervisor *s, struct supervisor_status *ret_status)
{
	pid_t pid = instance_pid(s->app);
	struct proc_usage usage = { 0 };

	if (pid)
		proc_usage_read(pid, &usage);
	*ret_status = (struct supervisor_status){
		.state = s->state,
		.next = supervisor_next(s),
		.starts_again = s->state == SUPERVISOR_STOPPING && s->intent == INTENT_RUN,
		.kind = s->kind,
		.pid = pid,
		.port = s->gate.port,
		.url = s->url,
		.memory_bytes = usage.memory_bytes,
		.cpu_ms = usage.cpu_ms,
		.restarts = s->restart_count,
		.exit_reason = *s->reason ? s->reason : NULL,
		.since_ms = s->since_ms,
	};
}

static void supervisor_kill_all(struct supervisor *s)
{
	builder_kill(&s->builder);
	instance_kill(s->next);
	instance_kill(s->app);
	list_for_each(link, &s->old)
		instance_kill(list_entry(link, struct instance, link));
}

void supervisor_close(struct supervisor *s, void (*closed)(void *owner), void *owner)
{
	if (s->intent == INTENT_CLOSE) {
		supervisor_kill_all(s);
		return;
	}
	s->intent = INTENT_CLOSE;
	s->news.state = s->news.next = false;
	s->closed = closed;
	s->closed_owner = owner;
	(void)uv_timer_stop(&s->timer);
	restarts_end_episode(&s->restarts, clock_now_ms());
	supervisor_end_all(s);
	supervisor_wind_down(s);
}
