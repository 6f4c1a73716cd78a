/* SPDX-License-Identifier: MIT */
/*
 * Promise: as long as the last call was no stop, the application runs, or is on its way, or has
 * FAILED for a reason that the user can read; one that serves does so until the next one does.
 *
 * The lineup has what there is of the application. `app` exists in STARTING and RUNNING, and in
 * STOPPING until it has ended; `next` beside it is to replace it; old ones finish in any state.
 * What is built is for `app` in DETECTING and BUILDING, and for `next` in all other states.
 *
 * Events, and what they do in each state ("-" can't be, "=" nothing, "later" see `stale`):
 *
 *              STOPPED, FAILED  DETECTING,  STARTING     RUNNING       RESTARTING   STOPPING
 *                               BUILDING
 *  start       begin            =           =            =             start again  then begin
 *  restart     begin            (1)         STOPPING (2) build         begin        then begin
 *  stop        STOPPED          STOPPING    STOPPING     STOPPING      STOPPED      then STOPPED
 *  changed     begin (3)        later       later        build         build        later
 *  building    =                BUILDING    =            =             =            -
 *  not built   =                FAILED      =            =             =            gone
 *  starting    STARTING         STARTING    =            =             STARTING     -
 *  not started FAILED           FAILED      =            =             FAILED       -
 *  ready       -                -           RUNNING      -             -            -
 *  late        -                -           STOPPING (4) -             -            -
 *  app ended   -                -           by the event: STARTING,    -            gone
 *                                           FAILED, STOPPED, RESTARTING
 *  switched    -                -           RUNNING      =             -            -
 *  no next     -                -           =            =             -            gone
 *  timer       -                -           -            episode over  start again  -
 *  visitor     -                -           -            -             the same     -
 *  close       everything is ended, and *s freed behind the last end
 *
 * (1) A build is stopped as in (2); what is detected may be of before, and is built again later.
 * (2) Then begin. (3) Unless the last call was a stop. (4) Then FAILED. "stop" leads to STOPPING
 * wherever something has to end first. "gone": once everything is, to where `intent` says.
 *
 * An event is a function here that ends with supervisor_leave(). Whatever is done before that only
 * notes what the owner has to be told; supervisor_leave() tells it when nothing is half done,
 * because the owner may call in again from there. supervisor_check() asserts what holds then.
 */
#include "os/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/app_ports.h"
#include "os/broker.h"
#include "os/gate.h"
#include "os/lineup.h"
#include "os/log_ring.h"
#include "os/proc_usage.h"
#include "os/restarts.h"
#include "os/run_config.h"
#include "os/supervisor_news.h"
#include "os/supervisor_state.h"

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
	/* A change or a restart has come since the last build began. It is no intent: it may come
	 * in any state and with any intent, and waits until another build can begin. */
	bool stale;
	uint64_t since_ms; /* wall clock, of the state */
	uv_timer_t timer;  /* the state's deadline */
	struct gate gate;  /* owns the listening socket */
	struct lineup lineup;
	struct restarts restarts;
	uint64_t restart_count;
	struct supervisor_news news;
	char reason[SUPERVISOR_CAUSE_MAX]; /* why the last one has ended; "": none has */
	uint64_t run_line;                 /* of the log, at the start of `app` */
	uint64_t said_first, said_next;    /* see struct supervisor_status */
	char url[32];

	unsigned parts; /* not yet closed: the timer, the gate, the lineup */
	void (*closed)(void *owner);
	void *closed_owner;
};

static void supervisor_on_timer(uv_timer_t *timer);

static void supervisor_note_next(struct supervisor *s, const char *cause)
{
	supervisor_news_next(&s->news, supervisor_next(s->state, &s->lineup), cause);
}

static void supervisor_set_state(
	struct supervisor *s, enum supervisor_state state, const char *cause)
{
	uint64_t deadline_ms = 0; /* the instances and the build have their own */

	assert(supervisor_edge(s->state, state));
	if (!supervisor_circles(state))
		restarts_end_episode(&s->restarts, clock_now_ms());
	lineup_forget_start(&s->lineup);
	s->state = state;
	s->since_ms = clock_wall_ms();
	/* What follows the second crash of an episode is told as a number. */
	if (state != SUPERVISOR_DETECTING)
		supervisor_news_state(&s->news, state, cause, s->restarts.crashes >= 2);
	if (state == SUPERVISOR_RUNNING)
		deadline_ms = RESTARTS_STEADY_MS;
	else if (state == SUPERVISOR_RESTARTING)
		deadline_ms = s->restarts.wait_ms;
	(void)uv_timer_stop(&s->timer);
	if (deadline_ms)
		(void)uv_timer_start(&s->timer, supervisor_on_timer, deadline_ms, 0);
	gate_set(&s->gate,
		supervisor_gate_state(state, deadline_ms, restarts_for_visitors(&s->restarts)));
}

static void supervisor_forget_reason(struct supervisor *s)
{
	s->reason[0] = '\0';
	s->said_first = s->said_next = 0;
}

/* With a reason that the user reads in the status, too. */
static void supervisor_set_state_for(
	struct supervisor *s, enum supervisor_state state, const char *reason)
{
	supervisor_forget_reason(s);
	snprintf(s->reason, sizeof s->reason, "%s", reason);
	supervisor_set_state(s, state, s->reason);
}

/* What serves is not replaced. */
static void supervisor_keep(struct supervisor *s, const char *reason)
{
	supervisor_forget_reason(s);
	snprintf(s->reason, sizeof s->reason, "%s", reason);
	supervisor_note_next(s, s->reason);
}

/* Detects and builds with all of the past forgotten: what is in the folder may have changed. */
static void supervisor_begin(struct supervisor *s)
{
	bool goes_on = lineup_builds(&s->lineup);

	s->intent = INTENT_RUN;
	s->stale = s->stale && goes_on;
	supervisor_forget_reason(s);
	supervisor_set_state(s, SUPERVISOR_DETECTING, "begin");
	restarts_reset(&s->restarts, clock_now_ms());
	if (lineup_begin(&s->lineup) < 0)
		supervisor_set_state_for(s, SUPERVISOR_FAILED, strerror(ENOMEM));
	else if (lineup_building(&s->lineup))
		supervisor_set_state(s, SUPERVISOR_BUILDING, lineup_building(&s->lineup));
}

static void supervisor_start_again(struct supervisor *s)
{
	if (lineup_start_again(&s->lineup) < 0)
		supervisor_set_state_for(s, SUPERVISOR_FAILED, strerror(ENOMEM));
}

/* What holds between two events. */
static void supervisor_check(const struct supervisor *s)
{
	assert(!s->news.state && !s->news.next);
	if (s->intent == INTENT_CLOSE || s->state == SUPERVISOR_STOPPING)
		return;
	assert(s->intent == INTENT_RUN || s->state == SUPERVISOR_STOPPED);
	assert(supervisor_fits(s->state, &s->lineup));
}

/* The one way out of each event: tells what has changed, and takes up what had to wait. */
static void supervisor_leave(struct supervisor *s)
{
	supervisor_news_tell(&s->news);
	if (s->stale && s->intent == INTENT_RUN && !s->lineup.next && !lineup_builds(&s->lineup)) {
		if (s->state == SUPERVISOR_RUNNING || s->state == SUPERVISOR_RESTARTING) {
			s->stale = false;
			if (lineup_build(&s->lineup) < 0)
				supervisor_keep(s, strerror(ENOMEM));
		} else if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED) {
			supervisor_begin(s);
		}
		supervisor_news_tell(&s->news);
	}
	supervisor_check(s);
}

/* Nothing is left that `intent` waits for. What was replaced may go on beside another start. */
static bool supervisor_is_idle(const struct supervisor *s)
{
	return lineup_is_empty(&s->lineup, s->intent != INTENT_RUN);
}

/* Then to what `intent` says. */
static void supervisor_stop_all(struct supervisor *s, const char *cause)
{
	lineup_end(&s->lineup, s->intent != INTENT_RUN);
	supervisor_set_state(s, SUPERVISOR_STOPPING, cause);
}

static void supervisor_on_closed(void *owner)
{
	struct supervisor *s = owner;

	if (--s->parts > 0)
		return;
	s->closed(s->closed_owner);
	free(s);
}

static void supervisor_on_timer_closed(uv_handle_t *handle)
{
	supervisor_on_closed(handle->data);
}

/* Something has ended that `intent` may have waited for. */
static void supervisor_wind_down(struct supervisor *s)
{
	if (!supervisor_is_idle(s))
		return;
	switch (s->intent) {
	case INTENT_STOP:
		supervisor_set_state_for(s, SUPERVISOR_STOPPED, "stopped on request");
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
		uv_close((uv_handle_t *)&s->timer, supervisor_on_timer_closed);
		gate_close(&s->gate);
		lineup_close(&s->lineup, supervisor_on_closed);
	}
}

static void supervisor_take_start(struct supervisor *s, enum lineup_event event, const char *text)
{
	bool begins = s->state == SUPERVISOR_DETECTING || s->state == SUPERVISOR_BUILDING;

	if (event == LINEUP_BUILDING && begins) {
		supervisor_set_state(s, SUPERVISOR_BUILDING, text);
	} else if (event == LINEUP_BUILDING) {
		supervisor_note_next(s, text);
	} else if (event == LINEUP_STARTING && s->lineup.next) {
		supervisor_note_next(s, text);
	} else if (event == LINEUP_STARTING) {
		restarts_started(&s->restarts, clock_now_ms());
		s->run_line = log_ring_next(s->news.ring);
		supervisor_set_state(s, SUPERVISOR_STARTING, text);
	} else if (s->lineup.app || (event == LINEUP_NOT_BUILT && !begins)) {
		supervisor_keep(s, text);
	} else {
		supervisor_set_state_for(s, SUPERVISOR_FAILED, text);
	}
}

/* `app` has ended, by an event that says why. */
static void supervisor_note_said(struct supervisor *s)
{
	s->said_first = s->run_line;
	s->said_next = log_ring_next(s->news.ring);
}

static void supervisor_take_run(struct supervisor *s, enum lineup_event event, const char *text)
{
	switch (event) {
	case LINEUP_READY:
		supervisor_set_state(s, SUPERVISOR_RUNNING, text);
		break;
	case LINEUP_SWITCHED:
		restarts_reset(&s->restarts, clock_now_ms());
		supervisor_forget_reason(s);
		if (s->state == SUPERVISOR_STARTING)
			supervisor_set_state(s, SUPERVISOR_RUNNING, "replaced");
		supervisor_note_next(s, NULL);
		break;
	case LINEUP_NO_NEXT:
		supervisor_keep(s, text);
		break;
	case LINEUP_LATE:
		s->intent = INTENT_GIVE_UP;
		snprintf(s->reason, sizeof s->reason, "%s", text);
		supervisor_stop_all(s, s->reason);
		break;
	case LINEUP_STEPS_IN:
		s->restart_count++;
		restarts_reset(&s->restarts, clock_now_ms());
		supervisor_set_state_for(s, SUPERVISOR_STARTING, text);
		break;
	case LINEUP_BROKEN:
		supervisor_set_state_for(s, SUPERVISOR_FAILED, text);
		break;
	case LINEUP_CONTENT:
		supervisor_set_state_for(s, SUPERVISOR_STOPPED, text);
		break;
	case LINEUP_CRASHED:
		s->restart_count++;
		restarts_crashed(&s->restarts, s->lineup.stage, text, clock_now_ms());
		supervisor_set_state_for(s, SUPERVISOR_RESTARTING, text);
		break;
	default:
		return;
	}
	if (event != LINEUP_READY && event != LINEUP_SWITCHED && event != LINEUP_NO_NEXT)
		supervisor_note_said(s);
}

static void supervisor_on_lineup(void *owner, enum lineup_event event, const char *text)
{
	struct supervisor *s = owner;

	if (event == LINEUP_CHANGED)
		s->stale = true;
	else if (s->intent == INTENT_CLOSE || s->state == SUPERVISOR_STOPPING)
		supervisor_wind_down(s);
	else if (event <= LINEUP_NOT_STARTED)
		supervisor_take_start(s, event, text);
	else
		supervisor_take_run(s, event, text);
	supervisor_leave(s);
}

static void supervisor_on_timer(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	if (s->state == SUPERVISOR_RUNNING)
		restarts_end_episode(&s->restarts, clock_now_ms());
	else
		supervisor_start_again(s);
	supervisor_leave(s);
}

/* A visitor waits in RESTARTING. */
static void supervisor_on_visitor(void *owner)
{
	struct supervisor *s = owner;
	uint64_t wait_ms = restarts_visitor_ms(&s->restarts, clock_now_ms());

	if (wait_ms < uv_timer_get_due_in(&s->timer))
		(void)uv_timer_start(&s->timer, supervisor_on_timer, wait_ms, 0);
	gate_set(&s->gate, GATE_PAUSED);
}

/* Which of its instances it was can't be told: they share the socket. */
static void supervisor_on_gate_shut(void *owner)
{
	struct supervisor *s = owner;

	log_error("app",
		"the application has shut down the socket that its visitors come by: it is ended");
	lineup_condemn(&s->lineup, GATE_SHUT);
}

int supervisor_new(uv_loop_t *loop, const struct supervisor_config *config, struct log_ring *ring,
	const struct supervisor_events *events, struct supervisor **ret_supervisor)
{
	struct supervisor *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->gate = (struct gate){ .wanted = supervisor_on_visitor,
		.shut = supervisor_on_gate_shut,
		.closed = supervisor_on_closed,
		.owner = s };
	r = gate_open(&s->gate, loop, (uint16_t)config->run->app.port);
	if (r < 0) {
		free(s);
		return r;
	}
	if (config->broker)
		app_ports_set_gate(broker_ports(config->broker), s->gate.fd, s->gate.port);
	snprintf(s->url, sizeof s->url, "http://" OS_APP_HOST ":%u", s->gate.port);
	s->since_ms = clock_wall_ms();
	(void)uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	s->news = (struct supervisor_news){ .ring = ring, .events = *events };
	restarts_init(&s->restarts, supervisor_news_crashes, &s->news);
	lineup_init(&s->lineup,
		&(struct instance_config){ .loop = loop,
			.run = config->run,
			.ring = ring,
			.open_files = config->open_files,
			.guest_program = config->guest_program,
			.broker = config->broker,
			.cgroup = config->cgroup,
			.start_timeout_ms = config->start_timeout_ms,
			.drain_timeout_ms = config->drain_timeout_ms,
			.listen_fd = s->gate.fd,
			.listen_addr = s->url + strlen("http://") },
		supervisor_on_lineup, s);
	*ret_supervisor = s;
	return 0;
}

/* The owner may call in from an event: the rest of that comes first. */
static void supervisor_enter(struct supervisor *s, enum intent intent)
{
	assert(s->intent != INTENT_CLOSE);
	supervisor_news_tell(&s->news);
	s->intent = intent;
}

void supervisor_start(struct supervisor *s)
{
	supervisor_enter(s, INTENT_RUN);
	if (s->state == SUPERVISOR_STOPPED || s->state == SUPERVISOR_FAILED)
		supervisor_begin(s);
	else if (s->state == SUPERVISOR_RESTARTING)
		supervisor_start_again(s);
	supervisor_leave(s);
}

void supervisor_stop(struct supervisor *s)
{
	supervisor_enter(s, INTENT_STOP);
	if (s->state == SUPERVISOR_STOPPING)
		lineup_end(&s->lineup, true);
	else if (!supervisor_is_idle(s))
		supervisor_stop_all(s, "stop");
	else if (s->state != SUPERVISOR_STOPPED)
		supervisor_set_state(s, SUPERVISOR_STOPPED, "stopped");
	supervisor_leave(s);
}

void supervisor_restart(struct supervisor *s)
{
	supervisor_enter(s, INTENT_RUN);
	s->stale = true;
	if (s->state == SUPERVISOR_BUILDING || s->state == SUPERVISOR_STARTING)
		supervisor_stop_all(s, "restart");
	else if (s->state != SUPERVISOR_RUNNING && s->state != SUPERVISOR_STOPPING)
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
		.state = s->state == SUPERVISOR_DETECTING ? SUPERVISOR_BUILDING : s->state,
		.next = supervisor_next(s->state, &s->lineup),
		.starts_again = s->state == SUPERVISOR_STOPPING && s->intent == INTENT_RUN,
		.kind = s->lineup.kind,
		.pid = pid,
		.port = s->gate.port,
		.url = s->url,
		.memory_bytes = usage.memory_bytes,
		.cpu_ms = usage.cpu_ms,
		.restarts = s->restart_count,
		.exit_reason = *s->reason ? s->reason : NULL,
		.since_ms = s->since_ms,
		.build = &s->lineup.builder.last,
		.said_first = s->said_first,
		.said_next = s->said_next,
	};
}

void supervisor_close(struct supervisor *s, void (*closed)(void *owner), void *owner)
{
	if (s->intent == INTENT_CLOSE) {
		lineup_kill(&s->lineup);
		return;
	}
	s->intent = INTENT_CLOSE;
	s->news.state = s->news.next = false;
	s->closed = closed;
	s->closed_owner = owner;
	(void)uv_timer_stop(&s->timer);
	restarts_end_episode(&s->restarts, clock_now_ms());
	lineup_forget_start(&s->lineup);
	lineup_end(&s->lineup, true);
	supervisor_wind_down(s);
}
