/* SPDX-License-Identifier: MIT */
/* The timer has one meaning in each state; it is closed when the child is gone, and *p with it. */
#include "os/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define SHOWN_MAX 256 /* of a path in a message */

static void on_timer_closed(uv_handle_t *handle)
{
	struct process *p = handle->data;

	p->events.ended(p->events.owner, p, p->status);
	free(p);
}

static void on_child_ended(struct child *child, int status)
{
	struct process *p = child->owner;

	p->status = status;
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

static void on_child_ready(struct child *child)
{
	struct process *p = child->owner;

	if (p->stage < PROCESS_ANSWERED)
		p->stage++;
	if (p->state != PROCESS_STARTING)
		return;
	p->state = PROCESS_READY;
	(void)uv_timer_stop(&p->timer);
	p->events.ready(p->events.owner, p);
}

static void on_timer(uv_timer_t *timer)
{
	struct process *p = timer->data;
	enum process_state state = p->state;

	if (state == PROCESS_ENDING) {
		process_kill(p);
		return;
	}
	process_end(p);
	p->late = state == PROCESS_STARTING;
	if (p->late)
		p->events.late(p->events.owner, p);
}

int process_start(uv_loop_t *loop, const struct process_config *config,
	const struct process_events *events, struct process **ret_process)
{
	struct process *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return -ENOMEM;
	p->events = *events;
	p->drain_signal = config->drain_signal;
	p->child = (struct child){
		.ring = config->ring,
		.ready = on_child_ready,
		.ended = on_child_ended,
		.owner = p,
	};
	r = child_start(&p->child, loop, &config->spawn, config->out, config->err);
	if (r < 0) {
		free(p);
		return r;
	}
	list_init(&p->link);
	(void)uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	(void)uv_timer_start(&p->timer, on_timer, config->deadline_ms, 0);
	*ret_process = p;
	return 0;
}

void process_explain(const struct spawn_config *config, int r, char *ret_why, size_t size)
{
	const char *program = config->argv[0], *dir = config->dir;
	bool lost = dir && access(dir, X_OK) < 0;
	char shown[SHOWN_MAX];

	if (lost)
		r = -errno;
	log_escape(shown, sizeof shown, lost ? dir : program, strlen(lost ? dir : program));
	snprintf(ret_why, size, "can't %s '%s': %s", lost ? "run in the folder" : "start", shown,
		strerror(-r));
}

/* A child that is gone has its timer closed soon; there is nothing to wait for any more. */
static void process_arm(struct process *p, uint64_t deadline_ms)
{
	if (!uv_is_closing((uv_handle_t *)&p->timer))
		(void)uv_timer_start(&p->timer, on_timer, deadline_ms, 0);
}

void process_drain(struct process *p, uint64_t deadline_ms)
{
	if (p->state != PROCESS_READY) {
		process_end(p);
		return;
	}
	p->state = PROCESS_DRAINING;
	child_kill(&p->child, p->drain_signal);
	process_arm(p, deadline_ms);
}

void process_end(struct process *p)
{
	if (!p || p->state == PROCESS_ENDING)
		return;
	p->state = PROCESS_ENDING;
	child_kill(&p->child, SIGTERM);
	process_arm(p, PROCESS_TERM_MS);
}

void process_kill(struct process *p)
{
	if (!p)
		return;
	p->state = PROCESS_ENDING;
	child_kill(&p->child, SIGKILL);
}

pid_t process_pid(const struct process *p)
{
	return p ? p->child.proc.pid : 0;
}

const char *process_why(const struct process *p)
{
	return p->child.why;
}

const char *process_last_words(const struct process *p)
{
	return p->child.words;
}
