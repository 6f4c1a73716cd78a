/* SPDX-License-Identifier: MIT */
/* The kernel decides whether a port is free: we only try. Owns nothing. */
#include "relay/ports.h"

#include <assert.h>
#include <errno.h>
#include "base/hash.h"
#include "proto/handshake.h"

int ports_init(struct ports *p, uv_loop_t *loop, const struct addr *bind, bool any, uint16_t min,
	uint16_t max)
{
	assert(min && min <= max);
	*p = (struct ports){ .loop = loop, .bind = *bind, .any = any, .min = min, .max = max };
	return hash_seed(&p->seed);
}

static enum ports_refusal ports_try(struct ports *p, struct listener *l, uint16_t port)
{
	struct addr addr = p->bind;
	int r;

	if (port == p->own)
		return PORTS_TAKEN;
	addr_set_port(&addr, port);
	r = p->any ? listener_open_any(l, p->loop, port, false)
		   : listener_open(l, p->loop, &addr, false, false);
	switch (r) {
	case 0:
		return PORTS_OK;
	case -EADDRINUSE:
		return PORTS_TAKEN;
	case -EACCES:
	case -EPERM:
		return PORTS_DENIED;
	default:
		return PORTS_FAILED;
	}
}

bool ports_fit(const struct ports *p, const struct addr *addr)
{
	uint16_t port = addr_port(addr);
	struct addr wanted = p->bind;

	addr_set_port(&wanted, port);
	return port >= p->min && port <= p->max && port != p->own &&
	       (p->any ? addr_is_any(addr) : addr_equal(addr, &wanted));
}

static uint16_t ports_random(struct ports *p)
{
	uint64_t random;

	p->counter++;
	random = hash_bytes(p->seed, &p->counter, sizeof(p->counter));
	return (uint16_t)(p->min + random % (p->max - p->min + 1u));
}

enum ports_refusal ports_listen(struct ports *p, struct listener *l, uint16_t wanted)
{
	if (wanted) {
		if (wanted < p->min || wanted > p->max)
			return PORTS_OUT_OF_RANGE;
		return ports_try(p, l, wanted);
	}
	for (unsigned i = 0; i < PORTS_TRIES; i++)
		if (ports_try(p, l, ports_random(p)) == PORTS_OK)
			return PORTS_OK;
	return PORTS_NONE_FREE;
}

const char *ports_refusal_text(enum ports_refusal refusal)
{
	static const char *const texts[] = {
		[PORTS_OK] = "",
		[PORTS_TAKEN] = ERROR_PORT_TAKEN,
		[PORTS_OUT_OF_RANGE] = ERROR_PORT_RANGE,
		[PORTS_DENIED] = ERROR_PORT_DENIED,
		[PORTS_FAILED] = ERROR_PORT_FAILED,
		[PORTS_NONE_FREE] = ERROR_NO_PORT,
	};

	return texts[refusal];
}
