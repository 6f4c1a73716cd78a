/* SPDX-License-Identifier: MIT */
/*
 * One running application: built if it is source, started as a child, restarted when it crashes,
 * replaced when it has changed, stopped when asked. The states and the edges between them are one
 * table in supervisor_state.c.
 *
 * Replacing it is a fact beside the state: `next` is built and started while the old instance
 * serves. Once it takes connections the old one takes no more, finishes those that it has, and is
 * ended when that takes too long. If it can't be built or doesn't start, nothing has happened.
 *
 * The listening socket belongs to the supervisor and outlives every instance of the application:
 * visitors that come while it restarts wait in the socket's queue and are served by the next
 * instance; they start it, if the one before has ended on a visitor and others were answered. While
 * none is to come soon (stopped, failed, a build or another pause of more than 3 s) they are told
 * so and closed.
 */
#ifndef OS_SUPERVISOR_H
#define OS_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct broker;
struct builder_last;
struct cgroup;
struct log_ring;
struct os_run_config;
struct supervisor;

enum supervisor_state {
	SUPERVISOR_STOPPED,   /* before the first start, after a stop, or it has ended by itself */
	SUPERVISOR_DETECTING, /* the project is looked at: no event tells it, a status says BUILDING
			       */
	SUPERVISOR_BUILDING,  /* the build command runs */
	SUPERVISOR_STARTING,  /* the child runs, but doesn't take connections yet */
	SUPERVISOR_RUNNING,   /* it takes connections */
	SUPERVISOR_RESTARTING, /* it has crashed, the next start waits */
	SUPERVISOR_STOPPING,   /* a child has been told to end */
	SUPERVISOR_FAILED,     /* can't be built or doesn't start; only a start goes on from here */
	SUPERVISOR_STATES,
};

enum supervisor_next {
	SUPERVISOR_NEXT_NONE,
	SUPERVISOR_NEXT_BUILDING, /* what is to replace the application is built */
	SUPERVISOR_NEXT_STARTING, /* it runs, but doesn't take connections yet */
	SUPERVISOR_NEXTS,
};

/* The API's word: "building", "starting"; NULL: none. */
const char *supervisor_next_name(enum supervisor_next next);

/* The API's word: "stopped", "running", ... */
const char *supervisor_state_name(enum supervisor_state state);

/* Copied by supervisor_new(), but for `run`, which outlives the supervisor. */
struct supervisor_config {
	const struct os_run_config *run;
	const char *guest_program; /* NULL: the `wasmrun-guest` beside this program */
	struct broker *broker;     /* of the instances; outlives it; NULL: none */
	struct cgroup *cgroup;     /* likewise */
	uint64_t open_files;       /* RLIMIT_NOFILE for the children; 0: as ours */
	uint64_t start_timeout_ms; /* from the child's start to taking connections; 0: 2 minutes */
	uint64_t drain_timeout_ms; /* for what a replaced one has begun; 0: 10 s */
};

struct supervisor_status {
	enum supervisor_state state;
	enum supervisor_next next;
	bool starts_again;       /* STOPPING for a restart */
	const char *kind;        /* "preview1", "component-http", ...; NULL: nothing is built */
	pid_t pid;               /* 0: no instance of the application runs */
	uint16_t port;           /* on 127.0.0.1; 0: there is none yet */
	const char *url;         /* "http://127.0.0.1:PORT"; NULL without a port */
	uint64_t memory_bytes;   /* resident; 0 without a process */
	uint64_t cpu_ms;         /* used by the instance that runs */
	uint64_t restarts;       /* after crashes, since supervisor_new() */
	const char *exit_reason; /* why the last instance or build ended, one line; NULL: none has
				  */
	uint64_t since_ms;       /* wall clock of the last change of state */
	const struct builder_last *build; /* see os/builder.h */
	uint64_t said_first, said_next;   /* log lines of `exit_reason`'s instance, not the last */
};
/* The texts are valid until the next call into the supervisor. */

struct supervisor_events {
	/* Never from within a call of the owner's but supervisor_start/stop/restart. */
	void (*state)(void *owner, enum supervisor_state old, enum supervisor_state new_state,
		const char *cause);
	/* `cause` is why the last one has come to nothing where it goes back to NONE; NULL where it
	 * has replaced the application. */
	void (*next)(void *owner, enum supervisor_next next, const char *cause);
	/* A line about the first of several crashes that follow each other closely, then each
	 * minute, and at their end, about their number. The owner doesn't call in from it. */
	void (*crashed)(void *owner, const char *line);
	void *owner;
};

/* Opens the listening socket, detects nothing yet. Negative errno: -EADDRINUSE and the like are
 * those of the socket. */
int supervisor_new(uv_loop_t *loop, const struct supervisor_config *config, struct log_ring *ring,
	const struct supervisor_events *events, struct supervisor **ret_supervisor);

/* Each in any state; each joins what is under way. Detection errors make it FAILED, with the line
 * to show in exit_reason. */
void supervisor_start(struct supervisor *s);
void supervisor_stop(struct supervisor *s);
/* Builds again, too. One that serves does so until the next one does. */
void supervisor_restart(struct supervisor *s);

void supervisor_status(const struct supervisor *s, struct supervisor_status *ret_status);

/* Ends the child and frees; `closed` is the last call, never from within. Called again, it gives
 * the child no more time. */
void supervisor_close(struct supervisor *s, void (*closed)(void *owner), void *owner);

#endif
