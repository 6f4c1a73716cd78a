/* SPDX-License-Identifier: MIT */
/*
 * A chained hash with a seed of its own, since peers choose their addresses. The invariant: count
 * <= max, and every entry is in one bucket and in `order`. The table owns its entries.
 */
#include "relay/addr_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"

int addr_table_init(struct addr_table *t, size_t max)
{
	size_t buckets = 1;

	while (buckets < max)
		buckets *= 2;
	*t = (struct addr_table){ .max = max, .bucket_count = buckets };
	list_init(&t->order);
	/* Zero pages, not touched before they are needed. */
	t->buckets = calloc(buckets, sizeof(*t->buckets));
	return t->buckets ? hash_seed(&t->seed) : -ENOMEM;
}

void addr_table_deinit(struct addr_table *t)
{
	if (!t->buckets)
		return;
	while (!list_empty(&t->order))
		addr_table_remove(t, list_entry(list_first(&t->order), struct addr_entry, link));
	free(t->buckets);
	t->buckets = NULL;
}

static struct addr_entry **addr_table_bucket(const struct addr_table *t, const struct addr_key *key)
{
	uint64_t hash = hash_bytes(t->seed, key->bytes, sizeof(key->bytes));

	return &t->buckets[hash & (t->bucket_count - 1)];
}

static struct addr_entry *addr_table_find_key(
	const struct addr_table *t, const struct addr_key *key)
{
	struct addr_entry *entry = *addr_table_bucket(t, key);

	while (entry && memcmp(&entry->key, key, sizeof(*key)) != 0)
		entry = entry->next;
	return entry;
}

struct addr_entry *addr_table_find(const struct addr_table *t, const struct addr *addr)
{
	struct addr_key key = addr_limit_key(addr);

	return addr_table_find_key(t, &key);
}

struct addr_entry *addr_table_touch(struct addr_table *t, const struct addr *addr)
{
	struct addr_key key = addr_limit_key(addr);
	struct addr_entry *entry = addr_table_find_key(t, &key);
	struct addr_entry **head;

	if (entry) {
		list_remove(&entry->link);
		list_push_back(&t->order, &entry->link);
		return entry;
	}
	if (t->count == t->max)
		addr_table_remove(t, list_entry(list_first(&t->order), struct addr_entry, link));
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	head = addr_table_bucket(t, &key);
	entry->key = key;
	entry->next = *head;
	*head = entry;
	list_push_back(&t->order, &entry->link);
	t->count++;
	return entry;
}

void addr_table_remove(struct addr_table *t, struct addr_entry *entry)
{
	struct addr_entry **at;

	if (!entry)
		return;
	at = addr_table_bucket(t, &entry->key);
	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	list_remove(&entry->link);
	free(entry);
	t->count--;
}
