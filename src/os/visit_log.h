/* SPDX-License-Identifier: MIT */
/* The last closed connections of visitors, in a ring. */
#ifndef OS_VISIT_LOG_H
#define OS_VISIT_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "net/addr.h"

#define VISIT_LOG_MAX 1000
#define VISIT_WHY_MAX 96

struct tunnel_visit;

struct visit_entry {
	char id[UUID_TEXT_LEN + 1];
	char from[ADDR_TEXT_MAX]; /* "ip:port"; "" where the relay doesn't say */
	char why[VISIT_WHY_MAX];
	uint64_t since_ms; /* wall clock */
	uint64_t duration_ms, bytes_in, bytes_out;
};

struct visit_log {
	struct visit_entry *entries; /* owned; VISIT_LOG_MAX of them */
	uint64_t count;              /* that ever were added */
};

int visit_log_init(struct visit_log *log);
void visit_log_deinit(struct visit_log *log);

/* From what the tunnel tells now. */
void visit_entry_fill(struct visit_entry *entry, const struct tunnel_visit *visit);

/* A visit that was closed just now. */
void visit_log_add(struct visit_log *log, const struct tunnel_visit *visit);

/* `index` 0 is the newest; NULL: there is no such. */
const struct visit_entry *visit_log_get(const struct visit_log *log, size_t index);

#endif
