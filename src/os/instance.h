/* SPDX-License-Identifier: MIT */
/*
 * One run of the application: the child in which an engine serves it, from its start to its end. It
 * has to take connections in time, may be told to finish what it has begun and to take no more, and
 * is ended by SIGTERM, then SIGKILL.
 */
#ifndef OS_INSTANCE_H
#define OS_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "app/module.h"
#include "app/plan.h"
#include "base/list.h"
#include "os/child.h"
#include "sandbox/cgroup.h"

#define INSTANCE_REASON_MAX APP_END_MAX

struct broker;
struct broker_session;
struct instance;
struct os_run_config;

enum instance_state {
	INSTANCE_NEW,      /* its child is not started yet */
	INSTANCE_STARTING, /* the child runs, but doesn't take connections yet */
	INSTANCE_READY,    /* it takes connections */
	INSTANCE_DRAINING, /* it takes no more, and finishes those that it has */
	INSTANCE_ENDING,   /* it was told to end */
	INSTANCE_ENDED,    /* the child is gone */
	INSTANCE_STATES,
};

/* How far it has got: each empty line on its status pipe is one step. */
enum instance_stage {
	INSTANCE_BEGUN,
	INSTANCE_LISTENING, /* takes connections: INSTANCE_READY */
	INSTANCE_VISITED,   /* has taken one */
	INSTANCE_ANSWERED,  /* and said something to a visitor */
};

/* Never from within a call of the owner's. */
struct instance_events {
	void (*ready)(void *owner, struct instance *i);
	/* It has not become ready in time, and is INSTANCE_ENDING. */
	void (*late)(void *owner, struct instance *i);
	/* The last call; *i is freed behind it. */
	void (*ended)(void *owner, struct instance *i);
	void *owner;
};

/* Of all instances of one application; outlives them. */
struct instance_config {
	uv_loop_t *loop;
	const struct os_run_config *run;
	const char *guest_program; /* NULL: the `wasmrun-guest` beside this program */
	uint64_t open_files;       /* RLIMIT_NOFILE; 0: as ours */
	uint64_t start_timeout_ms; /* of INSTANCE_STARTING; 0: 2 minutes */
	uint64_t drain_timeout_ms; /* of INSTANCE_DRAINING; 0: 10 s */
	int listen_fd;             /* what it accepts connections from */
	const char *listen_addr;   /* ADDR:PORT of that */
	struct broker *broker;     /* what it can't do by itself; NULL: nobody does it */
	struct cgroup *cgroup;     /* which each has a part of; NULL: none is limited by one */
	struct log_ring *ring;
	struct instance_events events;
};

struct instance {
	struct list link; /* the owner's */
	const struct instance_config *config;
	struct app_plan plan; /* what runs */
	enum app_interface interface;
	enum instance_state state;
	enum instance_stage stage;
	bool late;                       /* it was ended because it has not become ready in time */
	char crime[INSTANCE_REASON_MAX]; /* for which it was condemned; else "" */
	int status;                      /* in INSTANCE_ENDED, as of waitpid(2) */
	struct child child;
	struct broker_session *session; /* NULL: there is no broker, or the child is gone */
	struct cgroup_child cgroup;
};

/* Whether the table has the edge. */
bool instance_edge(enum instance_state from, enum instance_state to);

/* Takes the plan over, and leaves *plan empty. Negative errno: nothing runs, ret_why says why in
 * one line, and the plan is still the caller's. */
int instance_start(const struct instance_config *config, struct app_plan *plan,
	enum app_interface interface, struct instance **ret_instance, char ret_why[APP_WHY_MAX]);

/* Finish the open connections in drain_timeout_ms, and end. One that isn't ready is ended. */
void instance_drain(struct instance *i);

/* In any state; NULL is nothing to end. To be killed is to have no time to obey. */
void instance_end(struct instance *i);
void instance_kill(struct instance *i);
/* Likewise, for what it has done: `why`, such as GATE_SHUT, explains its end. */
void instance_condemn(struct instance *i, const char *why);

/* 0: it is gone, `ended` is to follow. NULL: none. */
pid_t instance_pid(const struct instance *i);

/* The API's word for what it is. */
const char *instance_kind(const struct instance *i);

/* Of one that has ended: by its own wish, which no visitor can have brought it to. */
bool instance_was_content(const struct instance *i);

/* Why it is late or has ended, in one line. `ran`: the application has been running before, so that
 * it goes without saying what an end before the first connection means. */
void instance_explain_end(const struct instance *i, bool ran, char ret_text[INSTANCE_REASON_MAX]);

/* Of one that has ended: moves its plan to *plan, which is empty, for another instance. */
void instance_give_plan(struct instance *i, struct app_plan *plan);

#endif
