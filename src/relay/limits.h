/* SPDX-License-Identifier: MIT */
/*
 * What a peer's address may do: tunnels at once, guesses at the secret, a place among the
 * handshakes. Loopback peers are exempt from what counts per address, since a front proxy makes
 * everyone one address. Pure: the time is passed in.
 */
#ifndef RELAY_LIMITS_H
#define RELAY_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "relay/addr_table.h"

#define LIMITS_PENALTY_FIRST_MS 1000 /* after one bad secret; doubles with each one */
#define LIMITS_PENALTY_MAX_MS 600000
#define LIMITS_PENALTY_ADDRS 65536
#define LIMITS_JSON_MS 600000 /* how long an address is known to speak JSON only */
#define LIMITS_JSON_ADDRS 4096

enum limits_admission {
	LIMITS_ADMIT,
	LIMITS_DROP,  /* close it before a word */
	LIMITS_EVICT, /* the table is full, but this address has a tunnel: one of the others
			 makes room */
};

struct limits {
	uint32_t max_tunnels_per_addr, max_handshakes;
	struct addr_table tunnels;   /* count: tunnels open; entries only while there are some */
	struct addr_table penalties; /* count: bad secrets; until_ms: closed before a word */
	struct addr_table json;      /* count: 1, an HTTP front; 0, speaks JSON only; until_ms */
	uint64_t random;             /* state of the early drop's dice */
};

int limits_init(struct limits *l, uint32_t max_tunnels_per_addr, uint32_t max_handshakes);
void limits_deinit(struct limits *l);

/* Whether a new connection that needs a handshake of more than one step gets a place beside `open`
 * others. */
enum limits_admission limits_admit(struct limits *l, const struct addr *from, uint32_t open);

/* A tunnel of this address more or less. False: it has its share (or there is no memory). */
bool limits_take_tunnel(struct limits *l, const struct addr *from);
void limits_give_tunnel(struct limits *l, const struct addr *from);

bool limits_has_tunnel(const struct limits *l, const struct addr *from);

bool limits_penalised(const struct limits *l, const struct addr *from, uint64_t now_ms);
void limits_bad_secret(struct limits *l, const struct addr *from, uint64_t now_ms);
void limits_good_secret(struct limits *l, const struct addr *from);

bool limits_speaks_json(const struct limits *l, const struct addr *from, uint64_t now_ms);
/* An HTTP front's address is known as one for LIMITS_JSON_MS, and meanwhile learns no dialect. */
bool limits_is_front(const struct limits *l, const struct addr *from, uint64_t now_ms);
void limits_learn_front(struct limits *l, const struct addr *from, uint64_t now_ms);
void limits_learn_dialect(struct limits *l, const struct addr *from, bool json, uint64_t now_ms);

#endif
