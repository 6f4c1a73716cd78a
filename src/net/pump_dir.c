/* SPDX-License-Identifier: MIT */
/*
 * One direction of a connection. It promises: it reads only when nothing is stuck (pump_out.h), so
 * a slow reader stops its own sender and nobody else.
 *
 * It does all its work in turns (pump_dir_run()), which its pump gives it when
 * pump_dir_can_run(). A turn delivers what is stuck, then reads and writes until the source or the
 * destination can do no more or others want their turn, and passes the end on when all before it is
 * delivered.
 *
 * epoll is edge-triggered and tells each change once, so `readable` and `blocked` remember it until
 * a call says otherwise. A read that returns less than was asked for has emptied the queue, and
 * what comes later makes a new edge, so no second read is spent on EAGAIN. The exception is the end
 * of the stream: its edge may already have been told together with the data (IN, RDHUP and HUP in
 * one event), so with `hup` the source is read until 0 or an error. So is one with urgent data. A
 * write that takes less than was offered has marked the socket as full, and EPOLLOUT follows.
 *
 * Where one of the sockets speaks blocks, the direction towards it encodes what it reads, and the
 * one from it decodes. END takes the place of the FIN.
 */
#include "net/pump_dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/bucket.h"
#include "net/pump.h"
#include "net/sockopt.h"
#include "net/tap.h"

/* Fairness, as io->turn_bytes. */
#define PUMP_TURN_CALLS 16

/*
 * A direction that has moved so much in large reads is bulk and is spliced; one whose turns are
 * smaller than a large read is copied again. Below that a copy is cheaper than the calls it saves.
 */
#define PUMP_SPLICE_AFTER (64U * 1024U)
#define PUMP_LARGE_READ (16U * 1024U)

/*
 * RAW lets a direction towards blocks be spliced, and costs the connection, which isn't used again:
 * to open another one is worth more than the copies that so many bytes take.
 */
#define PUMP_RAW_AFTER (1024U * 1024U)

bool pump_dir_can_run(const struct pump_dir *d)
{
	return !d->done && !d->out.blocked &&
	       (pump_out_pending(&d->out) || (d->readable && !d->throttled) || d->eof ||
		       d->blocks.begins);
}

void pump_dir_note_fin(struct pump_dir *d)
{
	d->tcp_fin = true;
	d->fin |= d->blocks.codec != PUMP_DECODES;
}

uint8_t *pump_dir_take_wire(struct pump_dir *d, struct pump_io *io)
{
	pump_count(&io->held_bytes, -(uint64_t)d->blocks.wire_len);
	d->blocks.wire_len = 0;
	return take_ptr(d->blocks.wire);
}

bool pump_dir_is_bulk(const struct pump_dir *d)
{
	return d->streak >= PUMP_SPLICE_AFTER;
}

/* recv() or splice() from the source returned 0 or failed. */
static void dir_read_end(struct pump *p, enum pump_side side, int error, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	d->readable = false;
	/* A side that has vanished still says EAGAIN, but nothing more will come from it. */
	if (error == EAGAIN && !p->failed[side])
		return;
	/* The kernel reports an error only once the receive queue is empty. */
	d->eof = true;
	pump_note_end(p, side);
	if (error == 0 && d->blocks.codec == PUMP_DECODES && !d->blocks.reader.ended)
		error = ECONNRESET;
	if (error) {
		pump_fail(p, side, error, io);
		return;
	}
	if (!p->failed[side])
		d->fin = true;
	if (p->tap && d->fin)
		tap_put_end(p->tap, side);
}

/*
 * Whether the source had read our handshake when it said its first word. All that a peer sends
 * acknowledges what it has received (RFC 9293, 3.8.6), so if more is unacknowledged than the other
 * direction has sent since, that is some of the handshake.
 */
static bool dir_is_answer(const struct pump *p, enum pump_side side)
{
	const struct pump_dir *other = &p->dir[pump_other_side(side)];
	uint64_t own = atomic_load_explicit(&other->out.bytes, memory_order_relaxed) + other->done;

	return sockopt_queued(p->fd[side]) <= own;
}

/* What came of a write. */
static void dir_wrote(struct pump *p, enum pump_side side, int result, struct pump_io *io)
{
	if (result > 0)
		pump_fail(p, pump_other_side(side), result, io);
	else if (result < 0)
		pump_set_end(p, PUMP_END_NO_MEMORY);
}

/* Whether nothing but the end follows what is sent now. */
static bool dir_is_last(const struct pump_dir *d)
{
	return d->fin && !d->blocks.end_said;
}

static void dir_send(
	struct pump *p, enum pump_side side, const uint8_t *data, uint32_t len, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	dir_wrote(p, side, pump_out_send(&d->out, data, len, dir_is_last(d), io), io);
}

static void dir_flush(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	dir_wrote(p, side, pump_out_flush(&d->out, dir_is_last(d), io), io);
}

/* A block that is nothing but its head. */
static void dir_say(struct pump *p, enum pump_side side, enum block_type type, struct pump_io *io)
{
	uint8_t head[BLOCK_HEAD_LEN];

	block_encode(type, 0, head);
	p->dir[side].out.front = BLOCK_HEAD_LEN;
	dir_send(p, side, head, BLOCK_HEAD_LEN, io);
}

/* Leaves the stream's bytes of what was read at *data. Returns 0 or a positive errno. */
static int dir_decode(
	struct pump *p, enum pump_side side, uint8_t **data, uint32_t *len, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	struct pump_blocks *b = &d->blocks;
	struct block_piece piece;
	int r = block_read(&b->reader, *data, *len, &piece);

	if (b->reader.raw) {
		b->codec = PUMP_PLAIN;
		d->fin = d->tcp_fin;
	}
	if (b->reader.ended) {
		d->fin = true;
		if (pump_blocks_keep(b, *data + piece.used, *len - piece.used) < 0)
			pump_set_end(p, PUMP_END_NO_MEMORY);
		pump_count(&io->held_bytes, b->wire_len);
	}
	*data += piece.at;
	*len = piece.len;
	return -r;
}

/* Makes a block of what was read, behind a preface that still waits. */
static void dir_encode(
	struct pump *p, enum pump_side side, uint8_t **data, uint32_t *len, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	uint32_t before = pump_out_held(&d->out);

	*len = pump_blocks_wrap(&d->blocks, *data, *len, d->eof) + before;
	*data -= BLOCK_HEAD_LEN + before;
	d->out.front += BLOCK_HEAD_LEN;
	d->out.trail = d->eof ? BLOCK_HEAD_LEN : 0;
	if (before)
		memcpy(*data, d->out.held, before);
	pump_out_release_held(&d->out, io);
}

/* Passes on what was read; `drained`: there was no more, so that the source has ended if its FIN is
 * there. */
static void dir_pass(struct pump *p, enum pump_side side, uint8_t *data, uint32_t len, bool drained,
	struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	int error = 0;

	if (d->blocks.codec == PUMP_DECODES)
		error = dir_decode(p, side, &data, &len, io);
	d->left |= d->blocks.reader.ended && !drained;
	d->said |= len > 0;
	d->streak = len >= PUMP_LARGE_READ ? d->streak + len : 0;
	if (p->tap && len)
		tap_put(p->tap, side, data, len);
	if (error || d->blocks.reader.ended || (drained && d->fin && !d->urgent))
		dir_read_end(p, side, error, io);
	if (d->blocks.codec == PUMP_ENCODES)
		dir_encode(p, side, &data, &len, io);
	if (len && !d->done)
		dir_send(p, side, data, len, io);
}

/* One read of at most `room` bytes, and one write. Returns the bytes read, heads of blocks among
 * them: what small blocks cost us is no gift. */
static uint32_t dir_copy(struct pump *p, enum pump_side side, uint32_t room, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	uint8_t *data = io->buffer;
	bool drained;
	ssize_t n;
	int error;

	if (d->blocks.codec == PUMP_ENCODES) {
		uint32_t before = BLOCK_HEAD_LEN + pump_out_held(&d->out);

		data += before;
		room = (uint32_t)min_u64(room, PUMP_BUFFER_BYTES - before - BLOCK_HEAD_LEN);
	}
	n = recv(p->fd[side], data, room, MSG_DONTWAIT);
	error = n < 0 ? errno : 0;
	if (d->awaits_ack && n >= 0) {
		d->awaits_ack = false;
		if (!dir_is_answer(p, side)) {
			p->result.side = side;
			p->result.error = EPROTO;
			pump_set_end(p, PUMP_END_RESET);
			return 0;
		}
	}
	if (n <= 0) {
		dir_read_end(p, side, error, io);
		return 0;
	}
	drained = (uint32_t)n < room;
	if (drained && !d->hup && !d->urgent)
		d->readable = false;
	dir_pass(p, side, data, (uint32_t)n, drained, io);
	return (uint32_t)n;
}

/*
 * Socket to pipe to socket. A pipe's capacity is not a byte count (a segment of one byte takes a
 * slot), and EAGAIN doesn't say which end it is about. But the pipe is empty here, so it is the
 * socket.
 */
static uint32_t dir_splice(struct pump *p, enum pump_side side, uint32_t room, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	ssize_t n;

	assert(d->out.pipe.used == 0);
	n = splice(p->fd[side], NULL, d->out.pipe.wr, NULL, room, SPLICE_F_NONBLOCK);
	/* The end, or an urgent mark that no event has told of yet, with the end behind it: recv(2)
	 * knows (tests/kernel/test_splice.c). */
	if (n == 0)
		return dir_copy(p, side, (uint32_t)min_u64(room, PUMP_BUFFER_BYTES), io);
	if (n < 0) {
		dir_read_end(p, side, errno, io);
		return 0;
	}
	d->said = true;
	d->out.pipe.used = (uint32_t)n;
	dir_flush(p, side, io);
	return (uint32_t)n;
}

static bool dir_wants_pipe(const struct pump *p, enum pump_side side, enum pump_mode mode)
{
	const struct pump_dir *d = &p->dir[side];
	enum pump_codec codec = d->blocks.codec;
	uint32_t after = codec == PUMP_ENCODES ? PUMP_RAW_AFTER : PUMP_SPLICE_AFTER;

	if (d->urgent || d->awaits_ack || (p->tap && tap_wants(p->tap, side)))
		return false;
	/* There is no way to splice what has to be decoded, nor behind a preface that waits. */
	if (codec == PUMP_DECODES || d->out.held)
		return false;
	/*
	 * Of a source that has ended there is too little left to give the connection up for it. A
	 * peer that hasn't said TAKEN takes any end of TCP's for ours, which takes the visitor
	 * back: behind RAW it would be his.
	 */
	if (codec == PUMP_ENCODES &&
		(d->fin || p->dir[pump_other_side(side)].blocks.reader.awaits_taken))
		return false;
	return mode == PUMP_SPLICE || (mode == PUMP_AUTO && d->streak >= after);
}

/*
 * The side of blocks hears that the rest comes as it is. That gives the connection up, so it is
 * said when there is some: epoll may tell of a FIN as of a byte to read, before it calls it the
 * end. Returns false if there is none.
 */
static bool dir_say_raw(struct pump *p, enum pump_side side, struct pump_io *io)
{
	char byte;

	if (recv(p->fd[side], &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
		return false;
	p->dir[side].blocks.codec = PUMP_PLAIN;
	dir_say(p, side, BLOCK_RAW, io);
	return true;
}

/* At most `room` bytes. */
static uint32_t dir_fetch_some(
	struct pump *p, enum pump_side side, uint32_t room, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	uint32_t copied = (uint32_t)min_u64(room, PUMP_BUFFER_BYTES);

	if (!dir_wants_pipe(p, side, io->mode))
		return dir_copy(p, side, copied, io);
	if (d->out.pipe.rd < 0 && !pipe_take(&io->pipes, &d->out.pipe)) {
		d->streak = 0;
		return dir_copy(p, side, copied, io);
	}
	if (d->blocks.codec == PUMP_ENCODES) {
		if (!dir_say_raw(p, side, io))
			return dir_copy(p, side, copied, io);
		if (pump_out_pending(&d->out) || d->done)
			return 0;
	}
	return dir_splice(p, side, room, io);
}

static uint32_t dir_fetch(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct bucket *bucket = p->bucket[side];
	uint32_t room = io->turn_bytes, fetched;

	if (!bucket)
		return dir_fetch_some(p, side, room, io);
	room = bucket_take(bucket, room, clock_now_ms());
	if (!room) {
		p->dir[side].throttled = true;
		return 0;
	}
	fetched = dir_fetch_some(p, side, room, io);
	bucket_give_back(bucket, room - fetched);
	return fetched;
}

/* Everything was delivered and the source has ended: pass the end on. */
static void dir_finish(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	enum pump_side other = pump_other_side(side);
	/* A side that has failed without a FIN passes none on: the other side is to be reset. */
	bool passes = !p->failed[side] || d->fin;

	if (d->blocks.codec == PUMP_ENCODES && passes && !d->blocks.end_said) {
		d->blocks.end_said = true;
		dir_say(p, side, BLOCK_END, io);
		if (pump_out_pending(&d->out) || d->done)
			return;
	}
	d->done = true;
	if (d->blocks.codec == PUMP_ENCODES || !passes)
		return;
	/* When both directions are done, close(2) sends it. */
	if (!p->failed[side] && p->dir[other].done)
		return;
	if (pump_shut(p, other) < 0)
		pump_fail(p, other, 0, io);
}

/* The first turn: decodes the early bytes, or looks for some to go with the preface. */
static void dir_begin(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_blocks *b = &p->dir[side].blocks;
	uint32_t len = b->wire_len;
	uint8_t *wire;

	b->begins = false;
	if (b->codec == PUMP_ENCODES) {
		(void)dir_fetch(p, side, io);
		return;
	}
	wire = pump_dir_take_wire(&p->dir[side], io);
	memcpy(io->buffer, wire, len);
	free(wire);
	dir_pass(p, side, io->buffer, len, false, io);
}

void pump_dir_run(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	bool spliced = d->out.pipe.rd >= 0;
	uint32_t fetched = 0;

	if (d->blocks.begins)
		dir_begin(p, side, io);
	for (int calls = 0; calls < PUMP_TURN_CALLS && fetched < io->turn_bytes; calls++) {
		dir_flush(p, side, io);
		if (pump_out_pending(&d->out) || d->done || !d->readable || d->throttled ||
			p->ended)
			break;
		fetched += dir_fetch(p, side, io);
		spliced |= d->out.pipe.rd >= 0;
	}
	if (spliced && fetched < PUMP_LARGE_READ)
		d->streak = 0;
	if (d->out.pipe.used == 0)
		pipe_give(&io->pipes, &d->out.pipe);
	if (d->eof && !pump_out_pending(&d->out) && !d->done)
		dir_finish(p, side, io);
}

/* What goes out before all that is read: preface and early bytes, of which a block is made. */
static int dir_init_held(struct pump_dir *d, const struct pump_job *job, enum pump_side side)
{
	bool encodes = d->blocks.codec == PUMP_ENCODES;
	uint32_t len = (uint32_t)job->early_len[side];
	uint32_t front = encodes ? (uint32_t)job->preface_len : 0;

	if (encodes && len)
		front += BLOCK_HEAD_LEN;
	if (front + len == 0)
		return 0;
	if (pump_out_reserve(&d->out, front + len) < 0)
		return -ENOMEM;
	d->said = len > 0;
	if (encodes && job->preface_len)
		memcpy(d->out.held, job->preface, job->preface_len);
	if (len)
		memcpy(d->out.held + front, job->early[side], len);
	if (encodes && len)
		block_encode(BLOCK_DATA, len, d->out.held + front - BLOCK_HEAD_LEN);
	d->out.front = front;
	d->blocks.begins = len == 0;
	return 0;
}

int pump_dir_init(struct pump_dir *d, const struct pump_job *job, enum pump_side side)
{
	size_t len = job->early_len[side];

	d->awaits_ack = job->answers[side] && !len && job->wire[side] == PUMP_WIRE_RAW;
	if (job->wire[pump_other_side(side)] == PUMP_WIRE_BLOCKS) {
		d->blocks.codec = PUMP_ENCODES;
		assert(job->preface_len <= PUMP_BUFFER_BYTES / 2 && len <= BLOCK_LEN_MAX);
	}
	if (job->wire[side] != PUMP_WIRE_BLOCKS)
		return dir_init_held(d, job, side);
	assert(d->blocks.codec == PUMP_PLAIN && len <= PUMP_AHEAD_MAX);
	d->blocks.codec = PUMP_DECODES;
	d->blocks.reader.awaits_taken = job->awaits_taken;
	d->blocks.begins = len > 0;
	return pump_blocks_keep(&d->blocks, job->early[side], (uint32_t)len);
}
