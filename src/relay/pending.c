/* SPDX-License-Identifier: MIT */
/* A chained hash. The invariant: count <= max, and every entry is in the bucket of its id. Owns
 * only the buckets. */
#include "relay/pending.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pending_init(struct pending *p, size_t max)
{
	size_t buckets = 1;

	while (buckets < max)
		buckets *= 2;
	*p = (struct pending){ .max = max, .bucket_count = buckets };
	p->buckets = calloc(buckets, sizeof(*p->buckets));
	return p->buckets ? 0 : -ENOMEM;
}

void pending_deinit(struct pending *p)
{
	assert(!p->count);
	free(p->buckets);
	p->buckets = NULL;
}

/* The ids are random and our own choice, so some of their bits are a good hash. */
static struct pending_entry **pending_bucket(const struct pending *p, const struct uuid *id)
{
	uint32_t bits;

	memcpy(&bits, id->bytes, sizeof(bits));
	return &p->buckets[bits & (p->bucket_count - 1)];
}

int pending_add(struct pending *p, struct pending_entry *entry)
{
	struct pending_entry **head;

	if (p->count >= p->max)
		return -ENOSPC;
	head = pending_bucket(p, &entry->id);
	entry->next = *head;
	*head = entry;
	p->count++;
	return 0;
}

struct pending_entry *pending_find(const struct pending *p, const struct uuid *id)
{
	struct pending_entry *entry = *pending_bucket(p, id);

	while (entry && !uuid_equal(&entry->id, id))
		entry = entry->next;
	return entry;
}

void pending_remove(struct pending *p, struct pending_entry *entry)
{
	struct pending_entry **at = pending_bucket(p, &entry->id);

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	p->count--;
}
