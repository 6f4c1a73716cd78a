/* SPDX-License-Identifier: MIT */
/*
 * The application's connections outward. It is given one end of a TCP connection over loopback, and
 * a flow joins the other end with what is dialled; so the host sees each byte, and can end it.
 *
 * The policy is asked before a name is resolved, again for each address right before that one is
 * dialled, and once more for all connections when it has changed.
 */
#ifndef OS_OUTWARD_H
#define OS_OUTWARD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "policy/destination.h"

/* So long the application waits for the outcome of a dial; then it is told that it is connected,
 * and what comes later is a reset. */
#define OUTWARD_PATIENCE_MS 250

struct app_ports;
struct conn_log;
struct network;
struct outward;
struct outward_conn;
struct pump_pool;

struct outward_config {
	uv_loop_t *loop;
	struct pump_pool *pool; /* outlives it, as do the others */
	struct network *network;
	const struct app_ports *ports; /* where its own are */
	struct conn_log *log;          /* is told of each attempt; outlives it */
};

/* Whom the outcome is told, once, and never from within outward_connect() or outward_forget():
 * `fd` is the application's end, which becomes the callee's, and `error` 0, or a positive errno. */
struct outward_asker {
	void (*answered)(struct outward_asker *asker, int error, int fd);
	struct outward_conn *conn; /* while the answer is to come; else NULL */
};

/* -ENOMEM. */
int outward_new(const struct outward_config *config, struct outward **ret_outward);

/*
 * Connects. 0: the answer follows. 1: it is connected, and *ret_fd the caller's. Negative errno: it
 * isn't; -EACCES: the policy says no, of addresses of this machine it is -ECONNREFUSED.
 */
int outward_connect(
	struct outward *o, const struct destination *to, struct outward_asker *asker, int *ret_fd);

/* The asker no longer waits: the dial is given up. */
void outward_forget(struct outward_asker *asker);

/* Those that are dialled, or open. */
uint64_t outward_count(const struct outward *o);

/* Ends them all; `closed` is the last call, never from within. */
void outward_close(struct outward *o, void (*closed)(void *owner), void *owner);

#endif
