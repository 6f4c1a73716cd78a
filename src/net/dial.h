/* SPDX-License-Identifier: MIT */
/*
 * Connecting out, to a dialer's destination. The addresses of a name are tried as RFC 8305 has it
 * (Happy Eyeballs): IPv6 and IPv4 take turns, the next one is begun when the one before has failed
 * or has been silent for DIAL_STAGGER_MS, the first that connects is taken, and the others are
 * closed.
 *
 * A dial is one attempt. When the addresses are known and the connection is there at once, which is
 * the rule on loopback, no callback and no handle is involved.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"
#include "net/dialer.h"

#define DIAL_STAGGER_MS 250          /* RFC 8305, 8: the recommended Connection Attempt Delay */
#define DIAL_CONNECT_TIMEOUT_MS 3000 /* per address, as stock; see struct dialer */
#define DIAL_RESOLVE_TIMEOUT_MS 5000

struct dial;
struct dial_try;

/*
 * The outcome. fd >= 0: connected, the callee owns it, `peer` is its address. Otherwise `error` is
 * a negative errno or, with `resolving`, a uv_getaddrinfo error (uv_strerror() names both), and
 * `peer` the address that said so, or NULL. Of several addresses' errors the one is told that says
 * most: what a host has answered, else silence, else that there is no way from here; and of the
 * same kind that of the address tried first.
 */
typedef void (*dial_fn)(struct dial *d, int fd, int error, bool resolving, const struct addr *peer);

/* One attempt, embedded in its owner, which keeps it until `done` or, after dial_cancel(),
 * `cancelled`. */
struct dial {
	struct dialer *dialer;
	dial_fn done;
	void (*cancelled)(struct dial *d);
	void *owner;
	struct dialer_wait wait; /* for the addresses, while `resolving` */
	struct dial_try *tries;  /* on the heap, one for each of addrs, once the first waits */
	uv_timer_t timer;
	unsigned handles; /* of libuv's that are not yet closed */
	bool resolving, cancelling;
	int fd;           /* of the connection that was made */
	int error;        /* the one that will be told if no address connects, or 0 */
	size_t peer;      /* of addrs: the one that connected, or that `error` is of */
	size_t begun;     /* how many of addrs have been tried, or are under way */
	size_t under_way; /* tries that wait for an answer */
	uint64_t next_ms; /* monotonic; when the next one is begun */
	/* The dialer's as of the start, since others may learn new ones, in the order in which they
	 * are tried. */
	size_t count;
	struct addr addrs[DIALER_ADDRS_MAX];
	unsigned answer; /* that they are from */
};

/*
 * Begins an attempt. 1: connected already, *ret_fd is the caller's and `done` will not be called;
 * 0: `done` will be called later (never from within); negative errno: it failed at once and `done`
 * will not be called. What the sockets are like is said in connect.h; d->done, cancelled, owner are
 * set by the caller before.
 */
int dial_start(struct dial *d, struct dialer *dialer, int *ret_fd);

/* Ends an attempt (dial_start() gave 0) that has not called `done`; `cancelled` follows, never from
 * within. The dialer may go at once. */
void dial_cancel(struct dial *d);

#endif
