/* SPDX-License-Identifier: MIT */
/*
 * Connecting out: a name or address, resolved off the loop, each address tried in turn until one
 * answers.
 *
 * A dialer is a destination with what is known of it (the addresses, and which one worked last); a
 * dial is one attempt. When the addresses are known and the connection is there at once, which is
 * the rule on loopback, no callback and no handle is involved.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"
#include "net/local_ports.h"

#define DIAL_ADDRS_MAX 16            /* addresses of one name that are tried */
#define DIAL_CONNECT_TIMEOUT_MS 3000 /* per address, as stock */
#define DIAL_RESOLVE_TIMEOUT_MS 5000
#define DIAL_CACHE_MS \
	30000 /* how long resolved addresses of a name are used without asking again */

struct dialer {
	uv_loop_t *loop;
	char host[ADDR_HOST_MAX];
	uint16_t port;
	bool literal;            /* the host is an address: never resolved */
	size_t count, preferred; /* addresses known; the index of the one that worked last */
	struct addr addrs[DIAL_ADDRS_MAX];
	uint64_t resolved_ms; /* monotonic */
	struct local_ports ports;
};

struct dial;
struct dial_lookup;

/*
 * The outcome. fd >= 0: connected, the callee owns it, `peer` is its address. Otherwise `error` is
 * a negative errno or, with `resolving`, a uv_getaddrinfo error (uv_strerror() names both), and
 * `peer` the last address tried, or NULL.
 */
typedef void (*dial_fn)(struct dial *d, int fd, int error, bool resolving, const struct addr *peer);

/* One attempt, embedded in its owner, which keeps it until `done` or, after dial_cancel(),
 * `cancelled`. */
struct dial {
	struct dialer *dialer;
	dial_fn done;
	void (*cancelled)(struct dial *d);
	void *owner;
	struct dial_lookup *lookup; /* under way, or NULL */
	uv_poll_t poll;
	uv_timer_t timer;
	bool poll_open, timer_open; /* the handle is not yet closed */
	bool resolving, cancelling;
	int fd;
	int error;
	size_t count, first,
		tried; /* the dialer's addresses as of the start, since others may learn new ones */
	struct addr addrs[DIAL_ADDRS_MAX];
};

/* `host` is a name or a literal address. -EINVAL when it is neither. */
int dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *host, uint16_t port);

/* Forgets what was resolved (after a change of network). */
void dialer_forget(struct dialer *dialer);

/*
 * Begins an attempt. 1: connected already, *ret_fd is the caller's and `done` will not be called;
 * 0: `done` will be called later (never from within); negative errno: it failed at once and `done`
 * will not be called. Sockets are non-blocking, CLOEXEC, TCP_NODELAY and, unless local, keepalive;
 * d->done, cancelled, owner are set by the caller before. When the ports of the machine are used up
 * by connections in TIME_WAIT (EADDRNOTAVAIL) one of those is taken over by an explicit bind (see
 * dial.c).
 */
int dial_start(struct dial *d, struct dialer *dialer, int *ret_fd);

/* Ends an attempt (dial_start() gave 0) that has not called `done`; `cancelled` follows, never from
 * within. */
void dial_cancel(struct dial *d);

#endif
