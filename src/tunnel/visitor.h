/* SPDX-License-Identifier: MIT */
/* One forwarded connection; see visitors.h for all of them. */
#ifndef TUNNEL_VISITOR_H
#define TUNNEL_VISITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/uuid.h"
#include "net/addr.h"
#include "net/pump_pool.h"
#include "tunnel/visitors.h"

struct pump;
struct visitor_dial;
struct visitor_wire;

/*
 * Stays for as long as the connection: what is needed only for its set-up is allocated apart. Ends
 * by itself, and tells its set.
 */
struct visitor {
	struct list link; /* in set->setup, or set->open */
	struct visitors *set;
	struct uuid id;
	struct addr from; /* AF_UNSPEC: not known */
	uint64_t since_ms;
	int fd[PUMP_SIDES];                    /* connected, ours until the pump has them */
	struct visitor_dial *dial[PUMP_SIDES]; /* while connecting */
	struct visitor_wire *wire; /* while the relay asks for the secret; has its descriptor */
	struct pump *pump;         /* while open; owned by the pool */
	bool accepted;             /* the data connection is the visitor's stream */
	const char *turn_away;     /* NULL, or why it is closed as soon as it is accepted */
};

/* Begins. The visitor is in set->setup, and may be gone when this returns. */
void visitor_start(struct visitor *v);

/* Ends it in any state; `why` for the log. Its memory is gone unless a pump still has its sockets.
 */
void visitor_end(struct visitor *v, const char *why);

/* "ip:port" in `text`, or NULL. */
const char *visitor_from(const struct visitor *v, char text[ADDR_TEXT_MAX]);

#endif
