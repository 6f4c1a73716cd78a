/* SPDX-License-Identifier: MIT */
/*
 * Connecting out: a name or address, resolved off the loop. The addresses of a name are tried as
 * RFC 8305 has it (Happy Eyeballs): IPv6 and IPv4 take turns, the next one is begun when the one
 * before has failed or has been silent for DIAL_STAGGER_MS, the first that connects is taken, and
 * the others are closed. `localhost`, and every name below it, is ::1 and 127.0.0.1 without a
 * question to any resolver (RFC 6761, 6.3).
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
#define DIAL_STAGGER_MS 250          /* RFC 8305, 8: the recommended Connection Attempt Delay */
#define DIAL_CONNECT_TIMEOUT_MS 3000 /* per address, as stock */
#define DIAL_RESOLVE_TIMEOUT_MS 5000
#define DIAL_CACHE_MS \
	30000 /* how long resolved addresses of a name are used without asking again */

struct dialer {
	uv_loop_t *loop;
	char host[ADDR_HOST_MAX];
	uint16_t port;
	bool fixed;              /* the host is an address, or localhost: never resolved */
	size_t count, preferred; /* addresses known; the index of the one that worked last */
	struct addr addrs[DIAL_ADDRS_MAX];
	uint64_t resolved_ms; /* monotonic */
	struct local_ports ports;
};

struct dial;
struct dial_lookup;
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
	struct dial_lookup *lookup; /* under way, or NULL */
	struct dial_try *tries;     /* on the heap, one for each of addrs, once the first waits */
	uv_timer_t timer;
	unsigned handles; /* of libuv's that are not yet closed */
	bool resolving, cancelling;
	int fd;           /* of the connection that was made */
	int error;        /* the one that will be told if no address connects, or 0 */
	size_t peer;      /* of addrs: the one that connected, or that `error` is of */
	size_t count;     /* of addrs */
	size_t begun;     /* how many of them have been tried, or are under way */
	size_t under_way; /* tries that wait for an answer */
	uint64_t next_ms; /* monotonic; when the next one is begun */
	/* The dialer's as of the start, since others may learn new ones, in the order in which they
	 * are tried. */
	struct addr addrs[DIAL_ADDRS_MAX];
};

/* `host` is a name or a literal address. -EINVAL when it is neither. */
int dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *host, uint16_t port);

/* Forgets what was resolved (after a change of network). */
void dialer_forget(struct dialer *dialer);

/*
 * Begins an attempt. 1: connected already, *ret_fd is the caller's and `done` will not be called;
 * 0: `done` will be called later (never from within); negative errno: it failed at once and `done`
 * will not be called. What the sockets are like is said in connect.h; d->done, cancelled, owner are
 * set by the caller before.
 */
int dial_start(struct dial *d, struct dialer *dialer, int *ret_fd);

/* Ends an attempt (dial_start() gave 0) that has not called `done`; `cancelled` follows, never from
 * within. */
void dial_cancel(struct dial *d);

#endif
