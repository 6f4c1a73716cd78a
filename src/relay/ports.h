/* SPDX-License-Identifier: MIT */
/* Which public port a tunnel gets: the one it wants, or a random one in the allowed range. */
#ifndef RELAY_PORTS_H
#define RELAY_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"
#include "net/listener.h"

/*
 * As stock: finds a free port with a probability of 99.999 % while 15 % of the range are free,
 * since 0.85^150 < 1/30,000,000,000.
 */
#define PORTS_TRIES 150

enum ports_refusal {
	PORTS_OK,
	PORTS_TAKEN,
	PORTS_OUT_OF_RANGE,
	PORTS_DENIED,
	PORTS_FAILED,
	PORTS_NONE_FREE,
};

struct ports {
	uv_loop_t *loop;
	struct addr bind; /* where public ports listen; the port in it is not used */
	bool any;         /* listener_open_any() instead of `bind` */
	uint16_t min, max;
	uint16_t own; /* the control port: never given away, not even on another address */
	uint64_t seed, counter; /* of the random choice */
};

/* `own` may be set later. 0 or negative errno. */
int ports_init(struct ports *p, uv_loop_t *loop, const struct addr *bind, bool any, uint16_t min,
	uint16_t max);

/* Whether a listening socket with this address is one that ports_listen() could have opened. */
bool ports_fit(const struct ports *p, const struct addr *addr);

/* Opens `l` on the wanted port, 0 for any. */
enum ports_refusal ports_listen(struct ports *p, struct listener *l, uint16_t wanted);

/* The Error text for the client, word for word as stock. */
const char *ports_refusal_text(enum ports_refusal refusal);

#endif
