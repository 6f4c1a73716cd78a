/* SPDX-License-Identifier: MIT */
/*
 * A listening TCP socket on the control loop. Connections come as plain descriptors (non-blocking,
 * CLOEXEC, sockopt_set_stream()), up to LISTENER_BATCH per turn so that a storm on one port
 * doesn't starve the others. An owner that has no room for more leaves them in the kernel's queue.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "net/addr.h"
#include "net/watch.h"

#define LISTENER_BATCH 64
#define LISTENER_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

struct listener;
struct pump_pool;
struct reserve; /* the descriptor kept for EMFILE, shared by all listeners: net/reserve.h */

/* Owns `fd` from here on. */
typedef void (*listener_fn)(struct listener *listener, int fd, const struct addr *from);

struct listener {
	uv_poll_t poll;
	struct watch watch;   /* in the place of `poll`, where there is a pool */
	uv_timer_t retry;     /* runs while connections wait that can't even be shed */
	unsigned handles;     /* of poll and retry: not yet closed */
	unsigned batch, full; /* accepted per turn; turns in a row in which it was reached */
	int fd;               /* -1 when not open */
	struct addr addr;
	bool local;              /* a loopback address: its sockets inherit what such ones need */
	bool paused;             /* by `admits`, until listener_resume() */
	struct reserve *reserve; /* not owned; may be NULL */
	struct pump_pool *pool;  /* that the connections go to, outlives it; may be NULL */
	/* Whether there is room for one more, asked before each accept; NULL: always. */
	bool (*admits)(struct listener *listener);
	listener_fn accepted;
	void (*closed)(struct listener *listener);
	void *owner;
};

/*
 * A listening socket for whoever accepts by other means: an engine, libmicrohttpd. Non-blocking and
 * CLOEXEC, with SO_REUSEADDR: connections in TIME_WAIT on the port keep nobody from listening on
 * it. `addr` becomes the address that it has, where port 0 was the kernel's choice. The port is the
 * socket's until it is closed, even if somebody who shares it shuts it down. Negative errno.
 */
int listener_socket(struct addr *addr, int backlog, int *ret_fd);

/* Whether it listens still: whoever shares it can end that for all, by shutdown(2). */
bool listener_listens(int fd);

/*
 * Binds and listens: SO_REUSEADDR, never SO_REUSEPORT; `dual`: an IPv6 wildcard takes IPv4 too.
 * `defer`: the peer speaks first, so it is accepted when it has (TCP_DEFER_ACCEPT). Negative errno;
 * nothing is to be closed then. l->reserve, pool, admits, accepted, closed, owner are set by the
 * caller before.
 */
int listener_open(
	struct listener *l, uv_loop_t *loop, const struct addr *addr, bool dual, bool defer);

/* On all addresses of the machine: [::] for both families, or 0.0.0.0 where IPv6 is off. Otherwise
 * as listener_open(). */
int listener_open_any(struct listener *l, uv_loop_t *loop, uint16_t port, bool defer);

/*
 * The same with a socket that listens already, of another process that has given it away; owns `fd`
 * whatever it returns. What was set on the socket stays, but for `defer`.
 */
int listener_adopt(struct listener *l, uv_loop_t *loop, int fd, bool defer);

/* Leaves what comes in the kernel's queue until listener_resume(). Nothing on a closed one. */
void listener_pause(struct listener *l);

/* There is room again: goes on accepting if it was paused. Nothing on a closed one. */
void listener_resume(struct listener *l);

/* Closes the socket at once (the port is free on return); `closed` follows when the memory may go.
 * Idempotent. */
void listener_close(struct listener *l);

#endif
