/* SPDX-License-Identifier: MIT */
/*
 * A destination: a name or an address with a port, and what is known of it. Dials (net/dial.h) go
 * there; however many of them need the addresses of its name at the same time, one question is put
 * to the resolver, off the loop, and its answer serves them all and the dials of the next
 * DIALER_CACHE_MS.
 *
 * `localhost`, and every name below it, is ::1 and 127.0.0.1 without a question to any resolver
 * (RFC 6761, 6.3).
 */
#ifndef NET_DIALER_H
#define NET_DIALER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/addr.h"
#include "net/local_ports.h"

#define DIALER_ADDRS_MAX 16   /* addresses of one name that are tried */
#define DIALER_LANE_MAX 2     /* questions of a lane that run at a time */
#define DIALER_CACHE_MS 30000 /* so long an answer is used without asking again */

struct dialer_lane;
struct dialer_question;

struct dialer {
	uv_loop_t *loop;
	char host[ADDR_HOST_MAX];
	uint16_t port;
	bool fixed;              /* the host is an address, or localhost: never resolved */
	size_t count, preferred; /* addresses known; the index of the one that worked last */
	struct addr addrs[DIALER_ADDRS_MAX];
	uint64_t resolved_ms;             /* monotonic */
	unsigned answers;                 /* learned so far; names the one that `addrs` are from */
	struct list waiting;              /* for the answer */
	struct dialer_question *question; /* under way exactly while somebody waits */
	struct local_ports ports;
	/* Set by the owner behind dialer_init(). May this address be dialled? Asked right before
	 * each attempt. 0, or the negative errno that the attempt comes to. NULL: any may. */
	int (*admits)(struct dialer *dialer, const struct addr *addr);
	uint64_t connect_timeout_ms; /* per address; 0: DIAL_CONNECT_TIMEOUT_MS */
	struct dialer_lane *lane;    /* likewise; NULL: none */
};

/* Who waits for the answer; embedded in a dial. */
struct dialer_wait {
	struct list link;
	/* `status` 0: the addresses are known; else a uv_getaddrinfo error. It waits no more, and
	 * may ask again from the call. */
	void (*resolved)(struct dialer_wait *w, int status);
};

/*
 * `host` is a name or a literal address. -EINVAL when it is neither. There is nothing to free: the
 * memory may go when no dial to it is left.
 */
int dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *host, uint16_t port);

/* Forgets what was resolved (after a change of network). */
void dialer_forget(struct dialer *dialer);

/*
 * Dialers that share a lane have DIALER_LANE_MAX questions at a time put to the resolver, the
 * others wait in turn. It is for names that somebody else chooses: libuv gives half of its threads
 * to the questions of all of us, and a name's own servers can keep one for as long as they like.
 * NULL: out of memory.
 */
struct dialer_lane *dialer_lane_new(void);
/* Without a dial that waits; a question may still run. Returns NULL; NULL is fine. */
struct dialer_lane *dialer_lane_free(struct dialer_lane *lane);

/* --- for dials --- */

/* The known addresses in the order in which they are to be tried: that which worked last comes
 * first. Returns how many there are; 0: ask for them. */
size_t dialer_known(const struct dialer *dialer, struct addr ret_addrs[DIALER_ADDRS_MAX]);

/* Waits for the addresses; w->resolved is set by the caller. 0: it is called later, never from
 * within. Negative errno: the question couldn't be put. */
int dialer_ask(struct dialer *dialer, struct dialer_wait *w);

/* Waits no longer, if it does; the others still do. */
void dialer_leave(struct dialer *dialer, struct dialer_wait *w);

/* This address has been connected. */
void dialer_prefer(struct dialer *dialer, const struct addr *addr);

/* None of the addresses of that answer could be: the next dial asks again, unless there is a newer
 * answer by now. */
void dialer_distrust(struct dialer *dialer, unsigned answer);

#endif
