/* SPDX-License-Identifier: MIT */
#include "net/test_pump_half.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/owner.h"
#include "net/tap.h"
#include "net/test_turn.h"
#include "proto/block.h"

static void half_on_done(void *owner, const struct pump_result *result)
{
	struct half *h = owner;

	h->l.done = true;
	h->result = *result;
	assert_true(result->rest_len <= sizeof(h->rest));
	if (result->rest_len)
		memcpy(h->rest, result->rest, result->rest_len);
}

void half_open(struct half *h, struct fixture *f, int buffer_bytes)
{
	*h = (struct half){ .result.fd = { -1, -1 } };
	link_open(f, &h->l, buffer_bytes);
	h->wire = take_fd(&h->l.app);
	h->job = (struct pump_job){
		.fd = { h->l.pump_fd[PUMP_OUTER], h->l.pump_fd[PUMP_INNER] },
		.wire = { [PUMP_INNER] = PUMP_WIRE_BLOCKS },
		.done = half_on_done,
		.owner = h,
	};
}

void half_add(struct half *h)
{
	assert_int_equal(pump_pool_add(h->l.fixture->pool, &h->job, &h->l.pump), 0);
}

void half_close(struct half *h)
{
	for (int side = 0; side < PUMP_SIDES; side++)
		h->result.fd[side] = fd_close(h->result.fd[side]);
	h->wire = fd_close(h->wire);
	link_close(&h->l);
}

void say(int fd, const char *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

void expect_at_once(int fd, const char *data, size_t len)
{
	char got[128];

	assert_int_equal(recv(fd, got, sizeof(got), 0), len);
	assert_memory_equal(got, data, len);
}

void expect(int fd, const char *data, size_t len)
{
	char got[128];

	assert_true(len <= sizeof(got));
	assert_true(len == 0 || recv(fd, got, len, MSG_WAITALL) == (ssize_t)len);
	assert_memory_equal(got, data, len);
}

void expect_end(int fd, int error)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), error ? -1 : 0);
	if (error)
		assert_int_equal(errno, error);
}

bool read_wire(int fd, uint64_t seed, size_t len)
{
	static uint8_t got[65536];
	struct block_reader r = { 0 };
	int pair[2];
	struct talker checker = { .seed = seed, .len = len, .until_eof = true };
	ssize_t n = 1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	checker.fd = pair[1];
	talker_start(&checker);
	while (!r.ended && (n = recv(fd, got, sizeof(got), 0)) > 0) {
		struct block_piece piece;

		assert_int_equal(block_read(&r, got, (uint32_t)n, &piece), 0);
		for (uint32_t at = 0; at < piece.len;) {
			ssize_t w = send(pair[0], got + piece.at + at, piece.len - at, 0);

			assert_true(w > 0);
			at += (uint32_t)w;
		}
	}
	assert_true(n > 0 ? r.ended : r.raw);
	pair[0] = fd_close(pair[0]);
	assert_true(talker_join(&checker));
	(void)fd_close(pair[1]);
	return r.raw;
}

/* --- taps --- */

static void on_seen(void *owner, const struct tap_chunk *chunk)
{
	struct seen *s = owner;

	if (chunk->side != PUMP_INNER)
		return;
	assert_int_equal(chunk->offset, s->len);
	assert_true(s->len + chunk->len <= sizeof(s->text));
	memcpy(s->text + s->len, chunk->data, chunk->len);
	s->len += chunk->len;
	s->end |= chunk->end;
}

void seen_open(struct seen *s, struct half *h)
{
	const struct tap_hub_config config = {
		.loop = &h->l.fixture->loop, .max_bytes = 65536, .max_each = 65536, .took = on_seen
	};

	*s = (struct seen){ 0 };
	assert_int_equal(tap_hub_new(&config, &s->hub), 0);
	h->job.tap = tap_new(s->hub, s);
	assert_non_null(h->job.tap);
}

static void on_hub_closed(void *owner)
{
	*(bool *)owner = true;
}

void seen_close(struct seen *s, struct half *h)
{
	bool closed = false;

	tap_hub_drain(s->hub);
	h->job.tap = tap_release(h->job.tap);
	tap_hub_close(s->hub, on_hub_closed, &closed);
	while (!closed)
		test_turn(&h->l.fixture->loop);
}
