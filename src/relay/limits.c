/* SPDX-License-Identifier: MIT */
/*
 * Three bounded tables of addresses. An entry of `tunnels` has a count above 0; entries of the
 * others stay until they are the oldest of a full table, or are removed for good behaviour. Owns
 * its tables.
 */
#include "relay/limits.h"

#include <assert.h>
#include "base/lang.h"
#include "base/hash.h"

/* One tunnel needs one port, so there are never more addresses with tunnels than this. */
#define LIMITS_TUNNEL_ADDRS 65536

int limits_init(struct limits *l, uint32_t max_tunnels_per_addr, uint32_t max_handshakes)
{
	int r;

	*l = (struct limits){
		.max_tunnels_per_addr = max_tunnels_per_addr,
		.max_handshakes = max_handshakes,
	};
	r = addr_table_init(&l->tunnels, LIMITS_TUNNEL_ADDRS);
	if (r == 0)
		r = addr_table_init(&l->penalties, LIMITS_PENALTY_ADDRS);
	if (r == 0)
		r = addr_table_init(&l->json, LIMITS_JSON_ADDRS);
	return r;
}

void limits_deinit(struct limits *l)
{
	addr_table_deinit(&l->tunnels);
	addr_table_deinit(&l->penalties);
	addr_table_deinit(&l->json);
}

/*
 * From half of the limit on, newcomers are dropped at random, and more of them the fuller it is. A
 * hard limit would give all places to whoever opens connections fastest; this way anybody who tries
 * again gets in (as with sshd's MaxStartups).
 */
enum limits_admission limits_admit(struct limits *l, const struct addr *from, uint32_t open)
{
	uint32_t half = l->max_handshakes / 2;

	if (open < half)
		return LIMITS_ADMIT;
	/* The data connections of a tunnel come from its client's address, and must get through. */
	if (limits_has_tunnel(l, from))
		return open < l->max_handshakes ? LIMITS_ADMIT : LIMITS_EVICT;
	if (open >= l->max_handshakes)
		return LIMITS_DROP;
	l->random++;
	return hash_bytes(l->tunnels.seed, &l->random, sizeof(l->random)) %
				       (l->max_handshakes - half) <
			       open - half
		       ? LIMITS_DROP
		       : LIMITS_ADMIT;
}

bool limits_take_tunnel(struct limits *l, const struct addr *from)
{
	struct addr_entry *entry = addr_table_find(&l->tunnels, from);

	if (entry && entry->count >= l->max_tunnels_per_addr && !addr_is_loopback(from))
		return false;
	entry = addr_table_touch(&l->tunnels, from);
	if (!entry)
		return false;
	entry->count++;
	return true;
}

void limits_give_tunnel(struct limits *l, const struct addr *from)
{
	struct addr_entry *entry = addr_table_find(&l->tunnels, from);

	assert(entry && entry->count > 0);
	if (!--entry->count)
		addr_table_remove(&l->tunnels, entry);
}

bool limits_has_tunnel(const struct limits *l, const struct addr *from)
{
	return addr_table_find(&l->tunnels, from);
}

bool limits_penalised(const struct limits *l, const struct addr *from, uint64_t now_ms)
{
	const struct addr_entry *entry;

	if (!l->penalties.count)
		return false;
	entry = addr_table_find(&l->penalties, from);
	return entry && now_ms < entry->until_ms;
}

void limits_bad_secret(struct limits *l, const struct addr *from, uint64_t now_ms)
{
	uint64_t penalty = LIMITS_PENALTY_FIRST_MS;
	struct addr_entry *entry;

	if (addr_is_loopback(from))
		return;
	entry = addr_table_touch(&l->penalties, from);
	if (!entry)
		return;
	/* Quiet for the longest penalty: it starts anew. */
	if (now_ms >= entry->until_ms + LIMITS_PENALTY_MAX_MS)
		entry->count = 0;
	for (uint32_t i = 0; i < entry->count && penalty < LIMITS_PENALTY_MAX_MS; i++)
		penalty *= 2;
	entry->count++;
	entry->until_ms = now_ms + min_u64(penalty, LIMITS_PENALTY_MAX_MS);
}

void limits_good_secret(struct limits *l, const struct addr *from)
{
	if (l->penalties.count)
		addr_table_remove(&l->penalties, addr_table_find(&l->penalties, from));
}

/* What is known of how an address speaks; NULL: nothing, or no longer. */
static const struct addr_entry *limits_known(
	const struct limits *l, const struct addr *from, uint64_t now_ms)
{
	const struct addr_entry *entry = addr_table_find(&l->json, from);

	return entry && now_ms < entry->until_ms ? entry : NULL;
}

static void limits_know(struct limits *l, const struct addr *from, bool front, uint64_t now_ms)
{
	struct addr_entry *entry = addr_table_touch(&l->json, from);

	if (!entry)
		return;
	entry->count = front;
	entry->until_ms = now_ms + LIMITS_JSON_MS;
}

bool limits_speaks_json(const struct limits *l, const struct addr *from, uint64_t now_ms)
{
	const struct addr_entry *entry = limits_known(l, from, now_ms);

	return entry && !entry->count;
}

bool limits_is_front(const struct limits *l, const struct addr *from, uint64_t now_ms)
{
	const struct addr_entry *entry = limits_known(l, from, now_ms);

	return entry && entry->count;
}

void limits_learn_front(struct limits *l, const struct addr *from, uint64_t now_ms)
{
	limits_know(l, from, true, now_ms);
}

void limits_learn_dialect(struct limits *l, const struct addr *from, bool json, uint64_t now_ms)
{
	if (limits_is_front(l, from, now_ms))
		return;
	if (json)
		limits_know(l, from, false, now_ms);
	else
		addr_table_remove(&l->json, addr_table_find(&l->json, from));
}
