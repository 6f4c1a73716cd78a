/* SPDX-License-Identifier: MIT */
/* What a direction delivers, to a socket that takes little. */
#include "net/pump_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

#define LEN 1000000U

struct fixture {
	struct pipe_pool pool;
	struct pump_io io;
	struct pump_out out;
	int reader;
};

static struct fixture *fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	assert_non_null(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pipe_pool_init(&f->pool, 0);
	pipe_cache_init(&f->io.pipes, &f->pool);
	pump_out_init(&f->out, fds[0], PUMP_INNER);
	f->reader = fds[1];
	return f;
}

/* Nothing is left of it, and no count. */
static void fixture_free(struct fixture *f)
{
	assert_false(pump_out_pending(&f->out));
	assert_int_equal(f->io.held_bytes, 0);
	assert_int_equal(f->io.bytes[PUMP_INNER], f->out.bytes);
	assert_int_equal(f->io.bytes[PUMP_OUTER], 0);
	pipe_cache_clear(&f->io.pipes);
	(void)fd_close(f->out.fd);
	(void)fd_close(f->reader);
	free(f);
}

static uint8_t *text_of(uint32_t len)
{
	uint8_t *text = malloc(len);

	assert_non_null(text);
	for (uint32_t i = 0; i < len; i++)
		text[i] = (uint8_t)(i % 251);
	return text;
}

/* Reads what is there. Returns how much; it is the text from `at` on. */
static uint32_t read_some(struct fixture *f, const uint8_t *text, uint32_t at)
{
	static uint8_t data[65536];
	ssize_t n = recv(f->reader, data, sizeof(data), MSG_DONTWAIT);

	assert_true(n > 0);
	assert_memory_equal(data, text + at, n);
	return (uint32_t)n;
}

/* What the reader doesn't take is kept, and comes in order; only the stream's bytes are counted. */
static void test_slow_reader(void **state)
{
	struct fixture *f = fixture_new();
	uint8_t *text = text_of(LEN);
	uint32_t got = 0;

	(void)state;
	f->out.front = 3;
	f->out.trail = 5;
	assert_int_equal(pump_out_send(&f->out, text, LEN, false, &f->io), 0);
	assert_true(f->out.blocked);
	assert_true(pump_out_pending(&f->out));
	assert_int_equal(f->out.front, 0);
	assert_int_equal(f->out.trail, 5);
	/* What went out, but for the front, and what is held are all. */
	assert_int_equal(f->out.bytes + 3 + f->io.held_bytes, LEN);
	assert_int_equal(pump_out_held(&f->out), f->io.held_bytes);
	while (got < LEN) {
		got += read_some(f, text, got);
		assert_int_equal(pump_out_flush(&f->out, false, &f->io), 0);
	}
	assert_int_equal(f->out.bytes, LEN - 3 - 5);
	free(text);
	fixture_free(f);
}

/* A block's head that stands alone is nothing of the stream, and one that is all trail neither. */
static void test_only_heads(void **state)
{
	struct fixture *f = fixture_new();

	(void)state;
	f->out.front = 4;
	assert_int_equal(pump_out_send(&f->out, (const uint8_t *)"head", 4, false, &f->io), 0);
	f->out.trail = 4;
	assert_int_equal(pump_out_send(&f->out, (const uint8_t *)"tail", 4, false, &f->io), 0);
	assert_int_equal(f->out.bytes, 0);
	assert_int_equal(pump_out_send(&f->out, (const uint8_t *)"word", 4, false, &f->io), 0);
	assert_int_equal(f->out.bytes, 4);
	assert_false(f->out.blocked);
	fixture_free(f);
}

/* Of a pipe, too; and what nobody takes any more is dropped with it. */
static void test_pipe(void **state)
{
	struct fixture *f = fixture_new();

	(void)state;
	assert_true(pipe_take(&f->io.pipes, &f->out.pipe));
	assert_int_equal(write(f->out.pipe.wr, "piped", 5), 5);
	f->out.pipe.used = 5;
	assert_true(pump_out_pending(&f->out));
	assert_int_equal(pump_out_flush(&f->out, false, &f->io), 0);
	assert_int_equal(f->out.bytes, 5);
	assert_int_equal(f->io.spliced_bytes, 5);
	assert_false(pump_out_pending(&f->out));
	assert_int_equal(read_some(f, (const uint8_t *)"piped", 0), 5);
	assert_int_equal(write(f->out.pipe.wr, "lost", 4), 4);
	f->out.pipe.used = 4;
	pump_out_drop(&f->out, &f->io);
	fixture_free(f);
}

/* Its errno is the caller's business; what was to be sent isn't kept for one who is dead. */
static void test_dead(void **state)
{
	struct fixture *f = fixture_new();

	(void)state;
	f->reader = fd_close(f->reader);
	assert_int_equal(pump_out_send(&f->out, (const uint8_t *)"a", 1, false, &f->io), EPIPE);
	assert_int_equal(f->out.bytes, 0);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_only_heads),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_dead),
	};

	return cmocka_run_group_tests_name("net/pump_out", tests, NULL, NULL);
}
