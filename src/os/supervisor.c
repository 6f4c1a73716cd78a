/* SPDX-License-Identifier: MIT */
/*
 * Promise: as long as the last call was no stop, the application runs, or is on its way, or has
 * FAILED for a reason that the user can read; one that serves does so until the next one does.
 *
 * The lineup has the instances: `app` exists in STARTING and RUNNING, and in STOPPING until it has
 * ended; `next` beside it is to replace it; the old ones finish what they have begun, in any state.
 * Each owns its plan; that of a crashed `app` comes back to `plan`, to be started again. The
 * builder works for `app` in BUILDING and while `begins`, and for `next` in all other states.
 *
 * Events, and what they do in each state ("-" can't be, "=" nothing, "later" see `stale`):
 *
 *             STOPPED, FAILED   BUILDING    STARTING     RUNNING      RESTARTING    STOPPING
 *  start      begin             =           =            =            look          then begin
 *  restart    begin             STOPPING,   STOPPING,    update       begin         then begin
 *                               then begin  then begin
 *  stop       STOPPED           STOPPING    STOPPING     STOPPING     STOPPED       then STOPPED
 *  changed    begin (not after  later       later        update       update        later
 *             a stop)
 *  building   BUILDING *        -           =            =            BUILDING *    BUILDING *
 *  built      launch            launch      launch next  launch next  launch        launch *
 *  not built  FAILED *          FAILED      =            =            FAILED *      FAILED *
 *  looked     -                 -           -            -            launch        -
 *  app ready  -                 -           RUNNING      -            -             -
 *  app late   -                 -           STOPPING,    -            -             -
 *                                           then FAILED
 *  app ended  -                 -           see supervisor_app_ended()              ended
 *  next ready -                 -           switch       switch       -             -
 *  next late  -                 -           to `old`     to `old`     -             -
 *  next ended -                 -           =            =            -             ended
 *  old ended  =                 =           =            =            =             ended
 *  timer      -                 -           -            the episode  look          -
 *                                                        is over
 *  visitor    -                 -           -            -            look soon     -
 *  close      everything is ended in any state, and *s freed behind the last end
 *
 * "*" is so while `begins`. To begin is to detect and build anew, with all of the past forgotten;
 * the state stays what it was until it is known whether something has to be built. To update is the
 * same for `next` while `app` goes on. To look is to see whether the module of a crashed `app` is
 * still there, and what it is by now; to launch is to start what was built. "stop" leads to
 * STOPPING wherever something has to end first. "ended": the last one takes STOPPING to where
 * `intent` says.
 *
 * An event is a function here that ends with supervisor_leave(). Whatever is done before that only
 * notes what the owner has to be told; supervisor_leave() tells it when nothing is half done,
 * because the owner may call in again from there. supervisor_check() asserts what holds then.
 */
#include "os/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "os/builder.h"
#include "os/gate.h"
#include "os/lineup.h"
#include "os/proc_usage.h"
#include "os/restarts.h"
#include "os/run_config.h"
#include "os/supervisor_news.h"
#include "os/supervisor_state.h"

#define START_TIMEOUT_MS (2U * 60 * 1000) /* compiling a large module takes a while */
#define DRAIN_TIMEOUT_MS 10000
#define REASON_MAX BUILDER_WHY_MAX

/* What is to come of the state, above all of STOPPING. */
enum intent {
	INTENT_STOP, /* STOPPED, STOPPING: nothing runs, and a change doesn't start it */
	INTENT_RUN,  /* any state: it runs, or a change may bring it back; STOPPING: then begin */
	INTENT_GIVE_UP, /* STOPPING: then FAILED, and `reason` says why; from there on RUN */
	INTENT_CLOSE,   /* any state, which is left as it is: then *s is freed */
};

struct supervisor {
	enum supervisor_state state;
	enum intent intent;
	/*
	 * A change or a restart has come since the last build began. It is no intent: it may come
	 * in any state and with any intent, and waits until another build can begin.
	 */
	bool stale;
	bool begins;       /* the builder detects for `app` */
	bool ran;          /* this application has been running */
	uint64_t since_ms; /* wall clock, of the state */
	uv_timer_t timer;  /* the state's deadline */
	struct gate gate;  /* owns the listening socket */
	struct builder builder;
	struct lineup lineup;
	struct app_plan plan; /* what is started next; empty while `app` has it */
	const char *kind;     /* of `app`, one of app_interface_words; NULL: none was built yet */
	struct restarts restarts;
	uint64_t restart_count;
	struct supervisor_news news;
	char reason[REASON_MAX]; /* why the last one has ended; "": none has */
	char url[32];

	unsigned parts; /* not yet closed */
	void (*closed)(void *owner);
	void *closed_owner;
};

static void on_timer(uv_timer_t *timer);

/* What is to replace the application. */
static enum supervisor_next supervisor_next(const struct supervisor *s)
{
	if (s->state == SUPERVISOR_BUILDING || s->state == SUPERVISOR_STOPPING || s->begins)
		return SUPERVISOR_NEXT_NONE;
	if (s->lineup.next)
		return SUPERVISOR_NEXT_STARTING;
	return builder_runs(&s->builder) ? SUPERVISOR_NEXT_BUILDING : SUPERVISOR_NEXT_NONE;
}

static void supervisor_note_next(struct supervisor *s, const char *cause)
{
	supervisor_news_next(&s->news, supervisor_next(s), cause);
}

static void supervisor_set_state(
	struct supervisor *s, enum supervisor_state state, const char *cause)
{
	enum supervisor_state old = s->state;
	uint64_t deadline_ms = 0; /* the instances and the build have their own */

	assert(supervisor_edge(old, state));
	if (!supervisor_circles(state))
		restarts_end_episode(&s->restarts, clock_now_ms());
	builder_forget_look(&s->builder);
	s->state = state;
	s->since_ms = clock_wall_ms();
	/* What follows the second crash of an episode is told as a number. */
	supervisor_news_state(&s->news, old, state, cause, s->restarts.crashes >= 2);
	if (state == SUPERVISOR_RUNNING)
		deadline_ms = RESTARTS_STEADY_MS;
	else if (state == SUPERVISOR_RESTARTING)
		deadline_ms = s->restarts.wait_ms;
	(void)uv_timer_stop(&s->timer);
	if (deadline_ms)
		(void)uv_timer_start(&s->timer, on_timer, deadline_ms, 0);
	gate_set(&s->gate,
		supervisor_gate_state(state, deadline_ms, restarts_for_visitors(&s->restarts)));
}

static void supervisor_set_reason(struct supervisor *s, const char *why)
{
	snprintf(s->reason, sizeof s->reason, "%s", why);
}

/* `reason` says why: nothing runs, or what runs is not replaced. */
static void supervisor_give_up_start(struct supervisor *s, bool of_next)
{
	if (of_next)
		supervisor_note_next(s, s->reason);
	else
		supervisor_set_state(s, SUPERVISOR_FAILED, s->reason);
}

/* Starts `plan`, to replace what serves meanwhile. */
static void supervisor_launch(struct supervisor *s)
{
	bool is_next = s->lineup.app;
	enum app_interface interface;
	struct instance *i = NULL;
	char text[APP_WHY_MAX];
	int r = builder_check(&s->builder, &s->plan, &interface, text);

	if (!is_next) {
		s->kind = r < 0 ? NULL : app_interface_words[interface];
		restarts_started(&s->restarts, clock_now_ms());
	}
	if (r == 0)
		r = lineup_start(&s->lineup, &s->plan, interface, &i, text);
	if (r < 0) {
		app_plan_clear(&s->plan);
		supervisor_set_reason(s, text);
		supervisor_give_up_start(s, is_next);
		return;
	}
	snprintf(text, sizeof text, "%s, pid %d", instance_kind(i), (int)instance_pid(i));
	if (is_next)
		supervisor_note_next(s, text);
	else
		supervisor_set_state(s, SUPERVISOR_STARTING, text);
}

/* What is detected has to be built. */
static void supervisor_build(struct supervisor *s)
{
	s->begins = false;
	supervisor_set_state(s, SUPERVISOR_BUILDING, builder_kind(&s->builder));
}

static void supervisor_give_up_build(struct supervisor *s, bool of_next)
{
	supervisor_set_reason(s, builder_why(&s->builder));
	supervisor_give_up_start(s, of_next);
}

/* Builds what is to replace the application. */
static void supervisor_update(struct supervisor *s)
{
	s->stale = false;
	if (builder_start(&s->builder) < 0)
		supervisor_give_up_build(s, true);
}

/* What is in the folder may have changed. A build that runs goes on, and its result is taken. */
static void supervisor_begin(struct supervisor *s)
{
	int r = 0;

	s->intent = INTENT_RUN;
	app_plan_clear(&s->plan);
	s->kind = NULL;
	s->ran = false;
	supervisor_set_reason(s, "");
	restarts_reset(&s->restarts, clock_now_ms());
	builder_forget_look(&s->builder);
	(void)uv_timer_stop(&s->timer);
	gate_set(&s->gate, GATE_PAUSED);
	if (!builder_runs(&s->builder)) {
		s->stale = false;
		r = builder_start(&s->builder);
	}
	s->begins = r == 0;
	if (r < 0)
		supervisor_give_up_build(s, false);
	else if (builder_builds(&s->builder))
		supervisor_build(s);
}

/* `plan` was started before. */
static void supervisor_look(struct supervisor *s)
{
	if (builder_look(&s->builder, &s->plan) < 0)
		supervisor_give_up_build(s, false);
}

/* The state is left behind the last end only. */
static bool supervisor_winds_down(const struct supervisor *s)
{
	return s->intent == INTENT_CLOSE || (s->state == SUPERVISOR_STOPPING && !s->begins);
}

/* What holds between two events. */
static void supervisor_check(const struct supervisor *s)
{
	const struct instance *app = s->lineup.app, *next = s->lineup.next;

	assert(!s->news.state && !s->news.next);
	if (supervisor_winds_down(s))
		return;
	assert(s->intent == INTENT_RUN || s->state == SUPERVISOR_STOPPED);
	if (s->state == SUPERVISOR_STARTING)
		assert(app && app->state == INSTANCE_STARTING);
	else if (s->state == SUPERVISOR_RUNNING)
		assert(app && app->state == INSTANCE_READY);
	else
		assert(!app);
	assert(!next || (app && next->state == INSTANCE_STARTING));
	assert((s->state != SUPERVISOR_BUILDING && !s->begins) || builder_runs(&s->builder));
}

/* The one way out of each event: tells what has changed, and takes up what had to wait. */
static void supervisor_leave(struct supervisor *s)
{
	supervisor_news_tell(&s->news);
	if (s->stale && s->intent == INTENT_RUN && !s->lineup.next && !builder_runs(&s->builder)) {
		if (s->state == SUPERVISOR_RUNNING || s->state == SUPERVISOR_RESTARTING)
			supervisor_update(s);
		else if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED)
			supervisor_begin(s);
		supervisor_news_tell(&s->news);
	}
	supervisor_check(s);
}

/* What was replaced may go on beside another start. */
static bool supervisor_waits_for_old(const struct supervisor *s)
{
	return s->intent != INTENT_RUN;
}

/* Nothing is left that `intent` waits for. */
static bool supervisor_idle(const struct supervisor *s)
{
	return !builder_runs(&s->builder) &&
	       lineup_is_empty(&s->lineup, supervisor_waits_for_old(s));
}

static void supervisor_end_all(struct supervisor *s)
{
	s->begins = false;
	builder_forget_look(&s->builder);
	builder_end(&s->builder);
	lineup_end(&s->lineup, supervisor_waits_for_old(s));
}

/* Then to what `intent` says. */
static void supervisor_stop_all(struct supervisor *s, const char *cause)
{
	supervisor_end_all(s);
	supervisor_set_state(s, SUPERVISOR_STOPPING, cause);
}

static void on_part_closed(void *owner)
{
	struct supervisor *s = owner;
	void (*closed)(void *owner) = s->closed;
	void *closed_owner = s->closed_owner;

	if (--s->parts > 0)
		return;
	app_plan_clear(&s->plan);
	free(s);
	closed(closed_owner);
}

static void on_timer_closed(uv_handle_t *handle)
{
	on_part_closed(handle->data);
}

/* Something has ended. */
static void supervisor_wind_down(struct supervisor *s)
{
	if (!supervisor_idle(s))
		return;
	switch (s->intent) {
	case INTENT_STOP:
		supervisor_set_reason(s, "stopped on request");
		supervisor_set_state(s, SUPERVISOR_STOPPED, s->reason);
		break;
	case INTENT_RUN:
		supervisor_begin(s);
		break;
	case INTENT_GIVE_UP:
		s->intent = INTENT_RUN;
		supervisor_set_state(s, SUPERVISOR_FAILED, s->reason);
		break;
	case INTENT_CLOSE:
		s->parts = 3;
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
		gate_close(&s->gate);
		builder_close(&s->builder, on_part_closed);
	}
}

/* Another instance is the application. */
static void supervisor_follow(struct supervisor *s)
{
	s->kind = instance_kind(s->lineup.app);
	restarts_reset(&s->restarts, clock_now_ms());
	restarts_started(&s->restarts, clock_now_ms());
}

static void supervisor_app_ended(struct supervisor *s, struct instance *i)
{
	if (!s->ran || i->child.failed) {
		supervisor_set_state(s, SUPERVISOR_FAILED, s->reason);
	} else if (instance_was_content(i)) {
		supervisor_set_state(s, SUPERVISOR_STOPPED, s->reason);
	} else {
		s->restart_count++;
		instance_give_plan(i, &s->plan);
		restarts_crashed(&s->restarts, i->stage, s->reason, clock_now_ms());
		supervisor_set_state(s, SUPERVISOR_RESTARTING, s->reason);
	}
}

static void supervisor_take_lineup(
	struct supervisor *s, enum lineup_event event, struct instance *i)
{
	char cause[64];

	switch (event) {
	case LINEUP_READY:
		s->ran = true;
		snprintf(cause, sizeof cause, "takes connections at %s", s->url);
		supervisor_set_state(s, SUPERVISOR_RUNNING, cause);
		break;
	case LINEUP_SWITCHED:
		supervisor_follow(s);
		s->ran = true;
		supervisor_set_reason(s, "");
		if (s->state == SUPERVISOR_STARTING)
			supervisor_set_state(s, SUPERVISOR_RUNNING, "replaced");
		supervisor_note_next(s, NULL);
		break;
	case LINEUP_LATE:
		instance_explain_end(i, s->ran, s->reason);
		s->intent = INTENT_GIVE_UP;
		supervisor_stop_all(s, s->reason);
		break;
	case LINEUP_NO_NEXT:
		instance_explain_end(i, false, s->reason);
		supervisor_note_next(s, s->reason);
		break;
	case LINEUP_STEPS_IN:
		instance_explain_end(i, s->ran, s->reason);
		s->restart_count++;
		supervisor_follow(s);
		supervisor_set_state(s, SUPERVISOR_STARTING, s->reason);
		break;
	case LINEUP_ENDED:
		instance_explain_end(i, s->ran, s->reason);
		supervisor_app_ended(s, i);
		break;
	case LINEUP_OLD_GONE:
		break;
	}
}

static void on_lineup(void *owner, enum lineup_event event, struct instance *i)
{
	struct supervisor *s = owner;

	if (supervisor_winds_down(s))
		supervisor_wind_down(s);
	else
		supervisor_take_lineup(s, event, i);
	supervisor_leave(s);
}

static void on_building(void *owner)
{
	struct supervisor *s = owner;

	if (s->begins)
		supervisor_build(s);
	else
		supervisor_note_next(s, builder_kind(&s->builder));
	supervisor_leave(s);
}

static void on_built(void *owner, int r)
{
	struct supervisor *s = owner;
	bool of_next = s->state != SUPERVISOR_BUILDING && !s->begins;

	if (supervisor_winds_down(s)) {
		supervisor_wind_down(s);
		supervisor_leave(s);
		return;
	}
	s->begins = false;
	if (r < 0) {
		supervisor_give_up_build(s, of_next);
	} else {
		builder_take_plan(&s->builder, &s->plan);
		supervisor_launch(s);
	}
	supervisor_leave(s);
}

static void on_looked(void *owner, int r, const struct module_info *info)
{
	struct supervisor *s = owner;

	if (r < 0) {
		supervisor_give_up_build(s, false);
	} else {
		s->plan.info = *info;
		supervisor_launch(s);
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
		supervisor_look(s);
	supervisor_leave(s);
}

/* A visitor waits in RESTARTING. */
static void on_visitor(void *owner)
{
	struct supervisor *s = owner;
	uint64_t wait_ms = restarts_visitor_ms(&s->restarts, clock_now_ms());

	if (wait_ms < uv_timer_get_due_in(&s->timer))
		(void)uv_timer_start(&s->timer, on_timer, wait_ms, 0);
	gate_set(&s->gate, GATE_PAUSED);
}

static void on_crashes(void *owner, const char *line)
{
	struct supervisor *s = owner;

	supervisor_news_crashes(&s->news, line);
}

int supervisor_new(uv_loop_t *loop, const struct supervisor_config *config, struct log_ring *ring,
	const struct supervisor_events *events, struct supervisor **ret_supervisor)
{
	const struct builder_config builder_config = {
		.loop = loop, .run = config->run, .ring = ring, .open_files = config->open_files
	};
	struct instance_config instance_config = { .loop = loop,
		.run = config->run,
		.ring = ring,
		.open_files = config->open_files,
		.guest_program = config->guest_program,
		.start_timeout_ms = START_TIMEOUT_MS,
		.drain_timeout_ms = DRAIN_TIMEOUT_MS };
	struct supervisor *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->gate = (struct gate){ .wanted = on_visitor, .closed = on_part_closed, .owner = s };
	r = gate_open(&s->gate, loop, (uint16_t)config->run->app.port);
	if (r < 0) {
		free(s);
		return r;
	}
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->gate.port);
	s->since_ms = clock_wall_ms();
	(void)uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	s->news.ring = ring;
	s->news.events = *events;
	builder_init(&s->builder, &builder_config,
		&(struct builder_events){ .building = on_building,
			.done = on_built,
			.looked = on_looked,
			.changed = on_changed,
			.owner = s });
	if (config->start_timeout_ms)
		instance_config.start_timeout_ms = config->start_timeout_ms;
	if (config->drain_timeout_ms)
		instance_config.drain_timeout_ms = config->drain_timeout_ms;
	instance_config.listen_fd = s->gate.fd;
	instance_config.listen_addr = s->url + strlen("http://");
	lineup_init(&s->lineup, &instance_config, on_lineup, s);
	restarts_init(&s->restarts, on_crashes, s);
	*ret_supervisor = s;
	return 0;
}

/* The owner may call in from an event: the rest of that comes first. */
static void supervisor_enter(struct supervisor *s)
{
	assert(s->intent != INTENT_CLOSE);
	supervisor_news_tell(&s->news);
}

void supervisor_start(struct supervisor *s)
{
	supervisor_enter(s);
	s->intent = INTENT_RUN;
	if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED)
		supervisor_begin(s);
	else if (s->state == SUPERVISOR_RESTARTING && !s->begins)
		supervisor_look(s);
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
	s->stale = true;
	if (s->state == SUPERVISOR_BUILDING || s->state == SUPERVISOR_STARTING)
		supervisor_stop_all(s, "restart");
	else if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED ||
		 s->state == SUPERVISOR_RESTARTING)
		supervisor_begin(s);
	supervisor_leave(s);
}

void supervisor_status(const struct supervisor *s, struct supervisor_status *ret_status)
{
	pid_t pid = instance_pid(s->lineup.app);
	struct proc_usage usage = { 0 };

	if (pid)
		proc_usage_read(pid, &usage);
	*ret_status = (struct supervisor_status){
		/* What is detected may have to be built. */
		.state = s->begins ? SUPERVISOR_BUILDING : s->state,
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

void supervisor_close(struct supervisor *s, void (*closed)(void *owner), void *owner)
{
	if (s->intent == INTENT_CLOSE) {
		builder_kill(&s->builder);
		lineup_kill(&s->lineup);
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
