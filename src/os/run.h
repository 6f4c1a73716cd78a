/* SPDX-License-Identifier: MIT */
/*
 * One `wasmrun os`, without what is typed and printed: the logs, the supervisor, the exposure, the
 * forwards, the API and the run file, opened in this order and closed in the opposite one.
 */
#ifndef OS_RUN_H
#define OS_RUN_H

#include <stdbool.h>
#include <uv.h>

#include "os/conn_log.h"
#include "os/forward_spec.h"
#include "os/log_ring.h"
#include "sandbox/cgroup.h"

struct api;
struct conn_file;
struct exposure;
struct broker;
struct forwards;
struct network;
struct network_watch;
struct os_run_config;
struct pump_pool;
struct run_file;
struct supervisor;

/* What may not open. */
enum os_run_part {
	OS_RUN_LOG = 1,
	OS_RUN_NETWORK,     /* its policy */
	OS_RUN_APPLICATION, /* its port */
	OS_RUN_TUNNEL,
	OS_RUN_CONNECTION_LOG, /* see file_why() */
	OS_RUN_FORWARD,        /* the port of `forward` */
	OS_RUN_API,            /* its port */
};

enum os_run_event {
	OS_RUN_BUILDING, /* it, or what is to replace it; `what` is of which kind */
	OS_RUN_READY,    /* the application takes connections, for the first time */
	OS_RUN_AGAIN,    /* it does once more, after it was built */
	OS_RUN_DOWN,  /* it has ended by itself, or doesn't start; the log says why, after this */
	OS_RUN_WAITS, /* it has never been running, and --watch waits for a change */
	OS_RUN_HOPELESS, /* it has never been running, and will not */
	OS_RUN_PUBLIC,   /* it has got a public address */
	OS_RUN_UNSHARED, /* it has none, or none any more, for good; the log says why, after this */
	OS_RUN_CLOSED,   /* the last one: os_run_close() is done */
};

struct os_run_events {
	/* `what` is NULL unless the event has one. */
	void (*happened)(void *owner, enum os_run_event event, const char *what);
	/* What the application, its build and the supervisor say, as it is said. */
	log_ring_fn line;
	void *owner;
};

/* Embedded in its owner, who reads the first members only, down to `network`. Each is NULL unless
 * it is open. */
struct os_run {
	struct supervisor *supervisor;
	struct exposure *exposure;
	struct forwards *forwards;
	struct api *api;
	struct log_ring *ring;
	struct network *network;
	struct broker *broker;
	struct conn_log conns;
	struct recorder *recorder;
	struct conn_file *conn_file; /* NULL: no --connection-log */
	struct forward_spec forward; /* the one that was opened last */

	const struct os_run_config *config;
	struct os_run_events events;
	struct network_watch *network_watch; /* NULL: without --watch */
	struct cgroup cgroup;                /* if it is `divided` */
	struct run_file *run_file;           /* NULL: other commands don't find us */
	uv_timer_t end_timer;                /* never runs: its close ends in a later turn */
	bool built;   /* OS_RUN_BUILDING was told, and nothing came of it yet */
	bool ran;     /* the application has taken connections */
	bool exposed; /* --expose was seen to */
	bool closing, hurry, divided;
};

/*
 * `config` and `pool` outlive it; `open_files` is the application's RLIMIT_NOFILE. 0; or the part
 * that can't be opened, and *ret_error is the negative errno. os_run_close() follows in any case.
 */
enum os_run_part os_run_open(struct os_run *run, uv_loop_t *loop, struct pump_pool *pool,
	const struct os_run_config *config, uint64_t open_files, const struct os_run_events *events,
	int *ret_error);

/* The events follow from here on. */
void os_run_start(struct os_run *run);

/* SIGHUP: a lost relay is tried again now, and the connection log is opened anew. */
void os_run_hurry(struct os_run *run);

/* The application is asked to end. OS_RUN_CLOSED follows, never from within. Idempotent. */
void os_run_close(struct os_run *run);

/* The same, and the application is given no time, also where it has been asked already. */
void os_run_close_now(struct os_run *run);

/* After OS_RUN_CLOSED. */
void os_run_deinit(struct os_run *run);

#endif
