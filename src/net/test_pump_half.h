/* SPDX-License-Identifier: MIT */
/*
 * For tests of a pump with blocks on one side, where the test itself is the peer that speaks them.
 */
#ifndef NET_TEST_PUMP_HALF_H
#define NET_TEST_PUMP_HALF_H

#include "net/test_pump_fixture.h"

#include <stddef.h>

struct tap_hub;

#define TEXT(t) (t), sizeof(t) - 1
#define PREFACE "{\"Visitor\":{}}"
#define RAW_AFTER (1024U * 1024U) /* pump_dir.c's */

/* A pump with the visitor outside and blocks inside, where `wire` is the peer's end. */
struct half {
	struct link l;
	int wire;
	struct pump_job job; /* what a test wants otherwise, before half_add() */
	struct pump_result result;
	uint8_t rest[64];
};

void half_open(struct half *h, struct fixture *f, int buffer_bytes);
void half_add(struct half *h);
/* All that the test has of it; the pump is done. */
void half_close(struct half *h);

void say(int fd, const char *data, size_t len);
void expect(int fd, const char *data, size_t len);
/* In one piece, and so in one segment where that is `len`. */
void expect_at_once(int fd, const char *data, size_t len);
/* `error` 0: an ordinary end. */
void expect_end(int fd, int error);

/* Reads blocks to the end of the stream, and checks the bytes. Returns whether RAW was said. */
bool read_wire(int fd, uint64_t seed, size_t len);

/* What somebody has seen who looks on, of what the peer of blocks has said. */
struct seen {
	struct tap_hub *hub;
	char text[64];
	size_t len;
	bool end;
};

/* Looks on from half_add() on. */
void seen_open(struct seen *s, struct half *h);
/* With what there is. */
void seen_close(struct seen *s, struct half *h);

#endif
