/* SPDX-License-Identifier: MIT */
/*
 * What the relay remembers of peers' addresses: a bounded table from limit keys (IPv4 /32, IPv6
 * /64) to a count and a time. When it is full, the address that was touched longest ago is
 * forgotten.
 */
#ifndef RELAY_ADDR_TABLE_H
#define RELAY_ADDR_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "net/addr.h"

struct addr_entry {
	struct addr_key key;
	uint32_t count;          /* the user's; 0 when new */
	uint64_t until_ms;       /* the user's; 0 when new */
	struct list link;        /* in touched order, the oldest first */
	struct addr_entry *next; /* in its bucket */
};

struct addr_table {
	size_t count, max;
	size_t bucket_count; /* a power of two */
	struct addr_entry **buckets;
	struct list order;
	uint64_t seed;
};

int addr_table_init(struct addr_table *t, size_t max);
void addr_table_deinit(struct addr_table *t);

/* NULL: not known. The entry stays valid until the next _touch() or _remove(). */
struct addr_entry *addr_table_find(const struct addr_table *t, const struct addr *addr);

/* Finds or adds, and makes it the youngest. NULL: out of memory. */
struct addr_entry *addr_table_touch(struct addr_table *t, const struct addr *addr);

/* NULL is fine. */
void addr_table_remove(struct addr_table *t, struct addr_entry *entry);

#endif
