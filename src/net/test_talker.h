/* SPDX-License-Identifier: MIT */
/*
 * Peers for the tests of the data path, which write and check a pseudo-random stream, also in
 * threads of their own, and what can happen to their sockets.
 */
#ifndef NET_TEST_TALKER_H
#define NET_TEST_TALKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A peer: writes or checks `len` bytes of the stream that `seed` names. */
struct talker {
	pthread_t thread;
	int fd;
	uint64_t seed;
	size_t len;
	bool write;
	bool until_eof; /* reader: EOF must follow; writer: shuts down its side */
	bool ok;
};

void talker_start(struct talker *talker);
bool talker_join(struct talker *talker);

/* Like send() and recv() of exactly len bytes, in the calling thread. */
bool stream_write(int fd, uint64_t seed, size_t len);
bool stream_read(int fd, uint64_t seed, size_t len);

/* Until the peer's kernel has acknowledged all, a FIN included: what it hasn't is lost in a reset,
 * tunnel or no tunnel. */
void wait_acknowledged(int fd);

/* Closes with a reset. */
void reset_fd(int *fd);

/* No packet reaches the socket any more: to its peer it has vanished. */
void vanish_fd(int fd);

#endif
