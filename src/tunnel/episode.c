/* SPDX-License-Identifier: MIT */
/* The reasons that were told stand in a ring, and how many lines may still be written in a token
 * bucket. A reason for which there was no line is not remembered: it is new when it comes again.
 */
#include "tunnel/episode.h"

#include <string.h>

#include "base/lang.h"
#include "base/hash.h"

bool episode_tells(struct episode *e, const char *reason, uint64_t now_ms)
{
	/* 0 stands for none. The hash needs no secret seed: a relay that makes texts collide hides
	 * only its own. */
	uint64_t hash = hash_bytes(0, reason, strlen(reason)) | 1;
	bool told = false;

	for (unsigned i = 0; i < EPISODE_REASONS; i++)
		told |= e->told[i] == hash;
	if (told || e->full_ms > now_ms + (EPISODE_BURST - 1) * EPISODE_LINE_MS) {
		e->untold++;
		return false;
	}
	e->told[e->next] = hash;
	e->next = (e->next + 1) % EPISODE_REASONS;
	e->full_ms = max_u64(e->full_ms, now_ms) + EPISODE_LINE_MS;
	e->untold = 0;
	return true;
}

bool episode_end(struct episode *e)
{
	bool told = e->next || e->told[0];

	memset(e->told, 0, sizeof(e->told));
	e->next = 0;
	return told;
}
