/* SPDX-License-Identifier: MIT */
/*
 * The reserve descriptor: when accept(2) fails for want of descriptors, it is given up for a moment
 * to take the connection off the queue and close it. A listener that can't accept would otherwise
 * wake the loop for ever. One episode of shedding gives one log line at its start and one with the
 * count at its end.
 */
#ifndef NET_RESERVE_H
#define NET_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

struct reserve {
	int fd;
	/* Asked before one is shed; true: it has closed some descriptors. May be NULL. */
	bool (*relieve)(struct reserve *r);
	bool shedding;
	uint64_t shed_total;   /* connections closed for want of descriptors since the start */
	uint64_t shed_episode; /* of them in the current episode */
	uint64_t last_ms;      /* of the last one */
};

int reserve_open(struct reserve *r);
void reserve_close(struct reserve *r);

/* Accepts and closes one connection from `listen_fd`, unless descriptors were closed for it. false:
 * there was none, or even that failed. */
bool reserve_shed(struct reserve *r, int listen_fd);

/* One more was closed for want of descriptors, by the caller and before none was left. */
void reserve_note_shed(struct reserve *r);

/* A normal accept worked: ends the episode once nothing was shed for a while. */
void reserve_recovered(struct reserve *r);

#endif
