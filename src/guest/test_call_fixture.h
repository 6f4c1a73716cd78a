/* SPDX-License-Identifier: MIT */
/* For the tests of calls: a guest without an engine, whose memory the test writes itself. */
#ifndef GUEST_TEST_CALL_FIXTURE_H
#define GUEST_TEST_CALL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest/call.h"
#include "guest/streams.h"

#define FIXTURE_SIZE 65536
#define FIXTURE_NOWHERE (FIXTURE_SIZE - 1) /* nothing of two bytes begins here */
#define FIXTURE_LISTENER 3                 /* the guest's number of its listener */

struct call_fixture {
	uint8_t memory[FIXTURE_SIZE];
	struct streams streams;
	struct call call;
};

extern struct call_fixture f;

/* Memory of zeros, and the standard streams. */
void call_fixture_open(void);
void call_fixture_close(void);

/* Gives the guest a listener on loopback. */
void call_fixture_listen(void);

/* A visitor of the listener: the visitor's end. */
int call_fixture_connect(void);

/* The guest's call with these arguments. */
#define CALL(fn, ...) call_fixture_call(fn, (const uint32_t[CALL_ARGS_MAX]){ __VA_ARGS__ })
int call_fixture_call(call_fn fn, const uint32_t *args);

/* A vector of one buffer at the address. */
void call_fixture_put_vector(uint32_t at, uint32_t address, uint32_t len);

#endif
