/* SPDX-License-Identifier: MIT */
/*
 * A child process with its deadlines: it has to become ready, may be told to finish what it has
 * begun, is ended by SIGTERM, and by SIGKILL where that doesn't help. A build is one that never
 * becomes ready, and has to end in time.
 */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/list.h"
#include "os/child.h"

#define PROCESS_TERM_MS 5000 /* from SIGTERM to SIGKILL */

struct process;

enum process_state {
	PROCESS_STARTING, /* to PROCESS_READY, or PROCESS_ENDING when it is late */
	PROCESS_READY,    /* takes connections; no deadline */
	PROCESS_DRAINING, /* finishes the open ones; then PROCESS_ENDING */
	PROCESS_ENDING,   /* SIGTERM was sent */
};

/* How far an instance has got: each empty line on its status pipe is one step. */
enum process_stage {
	PROCESS_BEGUN,
	PROCESS_LISTENING, /* takes connections: PROCESS_READY */
	PROCESS_VISITED,   /* has taken one */
	PROCESS_ANSWERED,  /* and said something to a visitor */
};

/* Never from within a call of the owner's. */
struct process_events {
	void (*ready)(void *owner, struct process *p); /* needs a status pipe */
	/* It has missed its deadline, and was told to end. */
	void (*late)(void *owner, struct process *p);
	/* The last call; *p is freed behind it. `status` as of waitpid(2). */
	void (*ended)(void *owner, struct process *p, int status);
	void *owner;
};

struct process_config {
	struct spawn_config spawn;
	enum log_stream out, err;
	uint64_t deadline_ms; /* of PROCESS_STARTING */
	int drain_signal;     /* tells it to finish its open connections and to take no others */
	struct log_ring *ring;
};

struct process {
	struct list link; /* the owner's */
	enum process_state state;
	struct child child;
	uv_timer_t timer;
	struct process_events events;
	int drain_signal;
	int status; /* of waitpid(2) */
	enum process_stage stage;
	bool late; /* it has missed its deadline */
};

/* Negative errno: nothing runs, nothing follows. The config is not kept. */
int process_start(uv_loop_t *loop, const struct process_config *config,
	const struct process_events *events, struct process **ret_process);

/* Why that has failed, one line. */
void process_explain(const struct spawn_config *config, int r, char *ret_why, size_t size);

/* It finishes its open connections in `deadline_ms`. One that has never been ready is ended. */
void process_drain(struct process *p, uint64_t deadline_ms);

/* In any state; NULL is nothing to end. */
void process_end(struct process *p);
void process_kill(struct process *p);

/* 0: it is gone, `ended` is to follow. NULL: none. */
pid_t process_pid(const struct process *p);

/* Why it has ended, as it says itself on the status pipe; "": it doesn't. */
const char *process_why(const struct process *p);

/* The last line that it has written to another stream than LOG_STREAM_STDOUT; "" without one. */
const char *process_last_words(const struct process *p);

#endif
