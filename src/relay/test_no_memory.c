/* SPDX-License-Identifier: MIT */
/*
 * Want of memory on behalf of a peer: each conversation is held again and again, and each time
 * another one of the relay's allocations fails (ld's --wrap). It ends as it should, or that peer is
 * closed; never does it go on with a part of it missing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay_internal.h"
#include "relay/relay_fixture.h"

/* Of this thread only: the pump's allocates as well. */
static _Thread_local unsigned countdown; /* to the allocation that fails; 0: none will */
static _Thread_local bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails_now(void)
{
	if (!countdown || --countdown)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

/* Whether `text` comes, before the end. From the `number`th allocation, one fails; 0: none. */
static bool hears(struct fixture *f, struct peer *p, const char *text, unsigned number)
{
	bool ended = false;

	failed &= !number;
	countdown = number;
	while (!ended && !memmem(p->data, p->len, text, strlen(text)))
		ended = await_bytes(f, p) == 0;
	countdown = 0;
	return !ended;
}

/* The Options that came in the same segment as Hello were lost, and the client waited for ever. */
static void test_options_behind_hello(void **state)
{
	static const char both[] = "{\"Hello\":0}\0{\"Options\":{\"resume\":true}}";
	struct fixture *f = *state;
	unsigned number = 0, lost = 0;

	start(f, NULL);
	do {
		struct peer client = connect_control(f);
		bool heard;

		say_bytes(&client, both, sizeof(both));
		heard = hears(f, &client, "\"token\"", ++number);
		assert_true(heard || failed);
		lost += !heard;
		disconnect(&client);
		while (f->relay->objects)
			run(f);
	} while (failed);
	assert_in_range(lost, 3, number);
}

/* A visitor who can't be kept is closed; a client who can't be told of him is. */
static void test_visitor(void **state)
{
	struct fixture *f = *state;
	unsigned number = 0;

	start(f, NULL);
	do {
		uint16_t port;
		struct peer client = open_tunnel(f, &port), visitor;

		visitor = connect_port(f, port);
		failed = false;
		countdown = ++number;
		while (!f->relay->counts.visitors && !f->relay->counts.visitors_no_memory)
			run(f);
		countdown = 0;
		if (f->relay->counts.visitors_no_memory)
			await_end(f, &visitor);
		else
			assert_true(hears(f, &client, "\"Connection\"", 0) || failed);
		memset(&f->relay->counts, 0, sizeof(f->relay->counts));
		disconnect(&visitor);
		disconnect(&client);
		while (f->relay->objects)
			run(f);
	} while (failed);
	assert_in_range(number, 2, 20);
}

/*
 * What the client sent together with its Accept was lost, and the visitor's stream began with a
 * hole. `head` and `tail` stand round the visitor's id; `first` is what is heard then.
 */
static void claim(
	struct fixture *f, const char *head, const char *tail, size_t tail_len, const char *first)
{
	unsigned number = 0;

	start(f, NULL);
	do {
		struct peer client, visitor, data;
		char id[UUID_TEXT_LEN + 1], text[512];
		uint16_t port;

		client = open_tunnel(f, &port);
		visitor = visit(f, &client, port, id);
		data = connect_control(f);
		say_bytes(&data, text, (size_t)snprintf(text, sizeof(text), "%s%s", head, id));
		say_bytes(&data, tail, tail_len);
		say_bytes(&visitor, "request", 7);
		/* It is joined, and its first bytes are there, or it is closed. */
		if (hears(f, &data, "request", ++number)) {
			assert_memory_equal(data.data, first, strlen(first));
			assert_true(hears(f, &visitor, "early", 0));
		} else {
			assert_true(failed);
		}
		disconnect(&data);
		disconnect(&visitor);
		disconnect(&client);
		while (f->relay->objects)
			run(f);
	} while (failed);
	assert_in_range(number, 2, 20);
}

static void test_claim(void **state)
{
	static const char tail[] = "\"}\0early";

	claim(*state, "{\"Accept\":\"", tail, sizeof(tail) - 1, "request");
}

static void test_claim_that_waits_for_a_challenge(void **state)
{
	static const char tail[] = "\nearly";

	claim(*state, "HELLO 1\nAUTH s\nACCEPT ", tail, sizeof(tail) - 1, "{\"Challenge\"");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_options_behind_hello),
		CASE(test_visitor),
		CASE(test_claim),
		CASE(test_claim_that_waits_for_a_challenge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
