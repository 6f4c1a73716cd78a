/* SPDX-License-Identifier: MIT */
/*
 * Forwards: ports of this machine that lead to the application's, beside the tunnel. They are there
 * until they are removed, whatever becomes of the application: visitors wait for it as those of the
 * tunnel do (os/gate.h).
 */
#ifndef OS_FORWARD_H
#define OS_FORWARD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"
#include "os/forward_spec.h"

#define FORWARDS_MAX 64
#define FORWARDS_CONNS_MAX 4096 /* of all forwards; more wait in the kernel's queues */

struct app_ports;
struct conn_log;
struct forwards;
struct pump_pool;

/* What it points to outlives the forwards. */
struct forwards_config {
	uv_loop_t *loop;
	struct pump_pool *pool;
	const struct app_ports *ports; /* where they lead */
	struct conn_log *conns;
};

struct forward_status {
	struct addr addr;                                      /* with the port that it has got */
	uint16_t app_port;                                     /* as in struct forward_spec */
	uint64_t conns_open, conns_total, bytes_in, bytes_out; /* of visitors, and to them */
};

/* A forward is known by its port: there is one for each, at whatever address. */
enum forward_condition {
	FORWARD_EXISTS = 1, /* of that port */
	FORWARD_TOO_MANY,   /* FORWARDS_MAX of them */
};

/* -ENOMEM. */
int forwards_new(const struct forwards_config *config, struct forwards **ret_forwards);

/* Listens, and says so where others than this machine can reach it. 0, an enum forward_condition,
 * or a negative errno of the socket. */
int forwards_add(
	struct forwards *fs, const struct forward_spec *spec, struct forward_status *ret_status);

/* Its connections are reset. False: there is none of that port. */
bool forwards_remove(struct forwards *fs, uint16_t port);

/* Oldest first. */
typedef void (*forward_fn)(void *owner, const struct forward_status *status);
void forwards_each(const struct forwards *fs, forward_fn fn, void *owner);

/* Removes all and frees; `closed` is the last call, never from within. */
void forwards_close(struct forwards *fs, void (*closed)(void *owner), void *owner);

#endif
