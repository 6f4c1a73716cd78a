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

/* Whether the rest is `text`, and then an ordinary end. */
static bool ends_in_order(struct fixture *f, struct peer *p, const char *text, size_t len)
{
	ssize_t n;

	while ((n = recv(p->fd, p->data + p->len, sizeof(p->data) - p->len, 0)) != 0) {
		if (n > 0)
			p->len += (size_t)n;
		else if (errno == EAGAIN)
			run(f);
		else
			return false;
	}
	return p->len == len && memcmp(p->data, text, len) == 0;
}

/* A data connection of the session, parked. */
static struct peer park(struct fixture *f, const char *key)
{
	struct peer data = connect_control(f);

	say_with(&data, "{\"Ready\":\"", key, "\"}", "");
	while (!f->relay->ready.count)
		run(f);
	return data;
}

/* A whole stream, behind which it is parked again. */
static void serve_one(struct fixture *f, struct peer *data, uint16_t port)
{
	static const char stream[] = "\4\0\0\0\2\0\0\0";
	struct peer visitor = connect_port(f, port);

	(void)hears(f, data, "{\"Visitor\"", 0);
	say_bytes(data, stream, sizeof(stream) - 1);
	await_end(f, &visitor);
	disconnect(&visitor);
	while (!f->relay->ready.count)
		run(f);
	while (data->len < 4 || memcmp(data->data + data->len - 4, "\2\0\0\0", 4) != 0)
		assert_true(await_bytes(f, data) > 0);
	data->len = 0;
}

/*
 * Without memory for a visitor who has got a warm connection, that was reset, and with it went what
 * had been said on it last: the END of the visitor before.
 */
static void test_warm_visitor(void **state)
{
	struct fixture *f = *state;
	unsigned number = 0, lost = 0;

	f->config.max_ready_per_tunnel = f->config.max_ready = 2;
	f->pool_config.inline_turns = PUMP_INLINE_TURNS; /* the pump's allocations, too */
	start(f, NULL);
	do {
		struct peer client, data, visitor;
		char key[UUID_TEXT_LEN + 1];
		uint16_t port;
		bool given;

		client = open_tunnel(f, &port);
		say(&client, "{\"Options\":{\"ready\":2}}");
		(void)await_ready(f, &client, "", key);
		data = park(f, key);
		serve_one(f, &data, port);
		visitor = connect_port(f, port);
		failed = false;
		countdown = ++number;
		while (f->relay->counts.ready_given < 2 && !f->relay->counts.visitors_no_memory)
			run(f);
		given = !f->relay->counts.visitors_no_memory &&
			hears(f, &data, "{\"Visitor\"", countdown);
		countdown = 0;
		if (given) {
			say_bytes(&data, "\4\0\0\0\1\0\0\1x", 9);
			assert_true(hears(f, &visitor, "x", 0));
		} else {
			assert_true(failed);
			await_end(f, &visitor);
			/* Parked still, it ends with the session; else it has ended. */
			if (f->relay->ready.count)
				disconnect(&client);
			assert_true(ends_in_order(f, &data, "", 0));
			lost++;
		}
		disconnect(&visitor);
		disconnect(&data);
		disconnect(&client);
		while (f->relay->objects)
			run(f);
		memset(&f->relay->counts, 0, sizeof(f->relay->counts));
	} while (failed);
	assert_in_range(lost, 4, number);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_options_behind_hello),
		CASE(test_visitor),
		CASE(test_claim),
		CASE(test_warm_visitor),
		CASE(test_claim_that_waits_for_a_challenge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
