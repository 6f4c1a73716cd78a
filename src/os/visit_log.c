/* SPDX-License-Identifier: MIT */
/* The ring's newest entry is the one before `count`, modulo its size. */
#include "os/visit_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tunnel/tunnel.h"

int visit_log_init(struct visit_log *log)
{
	log->count = 0;
	log->entries = calloc(VISIT_LOG_MAX, sizeof(*log->entries));
	return log->entries ? 0 : -ENOMEM;
}

void visit_log_deinit(struct visit_log *log)
{
	free(log->entries);
}

void visit_entry_fill(struct visit_entry *entry, const struct tunnel_visit *visit)
{
	*entry = (struct visit_entry){
		.since_ms = clock_wall_ms() - visit->duration_ms,
		.duration_ms = visit->duration_ms,
		.bytes_in = visit->bytes_in,
		.bytes_out = visit->bytes_out,
	};
	(void)snprintf(entry->id, sizeof(entry->id), "%s", visit->id);
	(void)snprintf(entry->from, sizeof(entry->from), "%s", visit->from ? visit->from : "");
	(void)snprintf(entry->why, sizeof(entry->why), "%s", visit->why ? visit->why : "");
}

void visit_log_add(struct visit_log *log, const struct tunnel_visit *visit)
{
	visit_entry_fill(&log->entries[log->count++ % VISIT_LOG_MAX], visit);
}

const struct visit_entry *visit_log_get(const struct visit_log *log, size_t index)
{
	if (index >= log->count || index >= VISIT_LOG_MAX)
		return NULL;
	return &log->entries[(log->count - 1 - index) % VISIT_LOG_MAX];
}
