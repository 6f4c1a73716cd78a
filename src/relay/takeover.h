/* SPDX-License-Identifier: MIT */
/*
 * The next relay's end of a hand-over (relay/handover.h is that of the one before it). It runs
 * before the loop does, and so waits for its answers, at most TAKEOVER_WAIT_MS for each.
 */
#ifndef RELAY_TAKEOVER_H
#define RELAY_TAKEOVER_H

#include <stddef.h>

#include "relay/handover_wire.h"

#define TAKEOVER_WAIT_MS 10000

struct takeover {
	int fd;                      /* to the relay before; -1: there is none */
	struct handover_item *items; /* owned */
	int *fds;                    /* owned, with the descriptors that are not -1 */
	size_t count;
};

/* Nobody there. Anything may be done with it. */
#define TAKEOVER_INIT    \
	{                \
		.fd = -1 \
	}

/*
 * Asks the relay that listens at `path` for all it has, and gets copies. 0, also when there is none
 * (fd -1); or a negative errno. That relay goes on as before unless takeover_finish() is called.
 */
int takeover_begin(struct takeover *t, const char *path);

/* It takes no more visitors, and frees its metrics' port, once this returns. 0 or negative errno.
 */
int takeover_finish(struct takeover *t);

/* Closes what is left. Idempotent. */
void takeover_end(struct takeover *t);

#endif
