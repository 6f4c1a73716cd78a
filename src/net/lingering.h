/* SPDX-License-Identifier: MIT */
/*
 * The lingering close (RFC 9112, 9.6). A server that answers before it has read all of a request,
 * and closes, makes its kernel send a reset, which takes the answer from the peer's receive buffer.
 * So what a peer still sends is read and dropped for a while after our end has gone out.
 *
 * A set lives on whatever loop its owner has: the epoll descriptor is readable when there is
 * something to read, and lingering_run() is called then, and about once a second for the deadlines.
 * It has no lock.
 */
#ifndef NET_LINGERING_H
#define NET_LINGERING_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define LINGER_MAX 128                         /* at once; one more ends the oldest */
#define LINGER_MS 30000                        /* the longest time for one */
#define LINGER_SILENCE_MS 5000                 /* without a byte */
#define LINGER_BYTES_MAX (UINT64_C(256) << 20) /* read from one; more: reset */

struct lingering {
	int epoll_fd;
	struct list sockets; /* oldest first */
	size_t count;
};

/* 0 or negative errno. */
int lingering_init(struct lingering *l);

/* Closes what is left; fine on one whose lingering_init() has failed. */
void lingering_deinit(struct lingering *l);

/*
 * For a connection whose answer is written, just before its owner closes it: ends our side, and
 * keeps a duplicate of the descriptor for as long as the peer sends. No duplicate is kept of one
 * whose peer has ended, or without memory or descriptors.
 */
void lingering_add(struct lingering *l, int fd);

/* Drops what has come, and closes what is through. */
void lingering_run(struct lingering *l);

/*
 * The other way: ends a connection whose peer has sent too much, in a reset when it is closed. An
 * ordinary end may leave the peer before a window that was full, and that nobody opens any more.
 */
void lingering_cut(int fd);

/*
 * Whether the peer has ended its side, and every byte before that has been read. An edge-triggered
 * reader that takes a short read for the last one doesn't see an end that came with the bytes.
 */
bool lingering_peer_has_ended(int fd);

#endif
