/* SPDX-License-Identifier: MIT */
/*
 * Trouble that comes again and again, and which lines of it are logged: one for each new reason
 * since things last went well, and never more than a few at once, whoever causes them. Pure.
 */
#ifndef TUNNEL_EPISODE_H
#define TUNNEL_EPISODE_H

#include <stdbool.h>
#include <stdint.h>

#define EPISODE_REASONS 8     /* remembered; with more of them, the oldest is new again */
#define EPISODE_BURST 8       /* lines at once, and then */
#define EPISODE_LINE_MS 10000 /* one in so long */

struct episode {
	uint64_t told[EPISODE_REASONS]; /* hashes of the reasons that were told; 0: none */
	unsigned next;                  /* the place for the next one */
	uint64_t full_ms;               /* when the whole burst is to be had again */
	uint64_t untold;                /* troubles since the last line */
};

/* Something has failed. True: the line about it is to be written. All zero is a good start. */
bool episode_tells(struct episode *e, const char *reason, uint64_t now_ms);

/* Things go well. True: something was told that is over now. */
bool episode_end(struct episode *e);

#endif
