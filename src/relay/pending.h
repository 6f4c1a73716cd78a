/* SPDX-License-Identifier: MIT */
/*
 * What waits for a data connection that names it, by id: visitors for their Accept, sessions for
 * warm connections. An id comes from the kernel's random source (uuid_random()), and nobody guesses
 * it; a visitor's is good once.
 */
#ifndef RELAY_PENDING_H
#define RELAY_PENDING_H

#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

/* Embedded in what waits; removed before that goes. */
struct pending_entry {
	struct uuid id;
	struct pending_entry *next; /* in its bucket */
};

struct pending {
	size_t count, max;
	size_t bucket_count; /* a power of two */
	struct pending_entry **buckets;
};

int pending_init(struct pending *p, size_t max);
void pending_deinit(struct pending *p);

/* By the id that it has. -ENOSPC: full. */
int pending_add(struct pending *p, struct pending_entry *entry);

/* NULL: nobody waits by that id. */
struct pending_entry *pending_find(const struct pending *p, const struct uuid *id);
void pending_remove(struct pending *p, struct pending_entry *entry);

#endif
