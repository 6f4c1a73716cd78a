/* SPDX-License-Identifier: MIT */
#include "net/pump_out.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "net/sockopt.h"

void pump_out_init(struct pump_out *o, int fd, enum pump_side side)
{
	o->fd = fd;
	o->side = side;
	o->pipe = PIPE_NONE;
}

int pump_out_reserve(struct pump_out *o, uint32_t len)
{
	o->held = malloc(len);
	if (!o->held)
		return -ENOMEM;
	o->held_start = 0;
	o->held_end = len;
	return 0;
}

uint32_t pump_out_held(const struct pump_out *o)
{
	return o->held ? o->held_end : 0;
}

void pump_out_release_held(struct pump_out *o, struct pump_io *io)
{
	pump_count(&io->held_bytes, -(uint64_t)pump_out_held(o));
	free(o->held);
	o->held = NULL;
}

bool pump_out_pending(const struct pump_out *o)
{
	return o->held || o->pipe.used > 0;
}

/* Of `len` pending bytes the first `n` were taken: how many of these are the stream's. */
static uint32_t out_of_stream(struct pump_out *o, uint32_t n, uint32_t len)
{
	uint32_t front = (uint32_t)min_u64(o->front, n), left = len - n;
	uint32_t trail = o->trail > left ? o->trail - left : 0;

	o->front -= front;
	o->trail -= trail;
	return n - front - trail;
}

/* A write took `n` of `len` bytes, or failed with -1: leaves what it took. 0, or the errno. */
static int out_wrote(
	struct pump_out *o, ssize_t n, uint32_t len, struct pump_io *io, uint32_t *ret_sent)
{
	uint32_t counted;

	if (n < 0 && errno != EAGAIN)
		return errno;
	if (n < (ssize_t)len)
		o->blocked = true;
	*ret_sent = n > 0 ? (uint32_t)n : 0;
	counted = out_of_stream(o, *ret_sent, len);
	pump_count(&o->bytes, counted);
	pump_count(&io->bytes[o->side], counted);
	return 0;
}

/*
 * When the source's FIN is already there, ours follows in this turn and may share a segment with
 * the last bytes: a packet, its acknowledgement and often a wake-up less on each hop.
 */
static int out_write(struct pump_out *o, const uint8_t *data, uint32_t len, bool more,
	struct pump_io *io, uint32_t *ret_sent)
{
	ssize_t n = send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));

	return out_wrote(o, n, len, io, ret_sent);
}

int pump_out_send(
	struct pump_out *o, const uint8_t *data, uint32_t len, bool more, struct pump_io *io)
{
	uint32_t sent = 0;
	int r = out_write(o, data, len, more, io, &sent);

	if (r || sent == len)
		return r;
	r = pump_out_reserve(o, len - sent);
	if (r < 0)
		return r;
	memcpy(o->held, data + sent, len - sent);
	pump_count(&io->held_bytes, len - sent);
	return 0;
}

static bool out_is_dead(const struct pump_out *o)
{
	struct tcp_info info;

	return sockopt_tcp_info(o->fd, &info) && info.tcpi_state == TCP_CLOSE;
}

/*
 * The whole content goes in one call, so SPLICE_F_MORE, which would let the kernel hold back the
 * last partial segment, never applies.
 */
static int out_flush_pipe(struct pump_out *o, struct pump_io *io)
{
	uint32_t len = o->pipe.used, sent = 0;
	ssize_t n = splice(o->pipe.rd, NULL, o->fd, NULL, len, SPLICE_F_NONBLOCK);
	int r = out_wrote(o, n, len, io, &sent);

	if (r)
		return r;
	o->pipe.used -= sent;
	pump_count(&io->spliced_bytes, sent);
	/* One that was cut short by a reset has kept the error to itself: the next read would say 0
	 * (tests/kernel/test_splice.c). */
	return sent > 0 && sent < len && out_is_dead(o) ? ECONNRESET : 0;
}

int pump_out_flush(struct pump_out *o, bool more, struct pump_io *io)
{
	uint32_t sent = 0;
	int r;

	if (o->pipe.used > 0)
		return out_flush_pipe(o, io);
	if (!o->held)
		return 0;
	r = out_write(o, o->held + o->held_start, o->held_end - o->held_start, more, io, &sent);
	if (r)
		return r;
	o->held_start += sent;
	if (o->held_start == o->held_end)
		pump_out_release_held(o, io);
	return 0;
}

void pump_out_drop(struct pump_out *o, struct pump_io *io)
{
	pump_out_release_held(o, io);
	pipe_give(&io->pipes, &o->pipe);
}
