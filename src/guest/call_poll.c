/* SPDX-License-Identifier: MIT */
/*
 * poll_oneoff(): clocks, sockets and standard streams together, by one poll(2); every other
 * descriptor that the engine knows is a file or directory and always ready.
 *
 * The steps: read the subscriptions into a list of our own, because the guest may want its events
 * at the same place; wait until at least one is due; write an event for each that is. What can't be
 * waited for (a closed descriptor, a clock that we don't have) is due at once, with its error. When
 * the drain begins in the midst of a wait, the wait begins again, by its rules (poller_drain()).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/owner.h"
#include "guest/call.h"
#include "guest/drain.h"
#include "guest/streams.h"
#include "guest/wasi.h"

/* Both directions of every socket that a guest can have, and some clocks and files. */
#define SUBSCRIPTIONS_MAX (2 * STREAMS_SOCKETS_MAX + 1024)

struct subscription {
	uint64_t userdata;
	struct stream *stream; /* NULL for none of ours */
	int64_t at_ns;         /* a clock: when it is due, on the host's monotonic clock */
	uint16_t error;        /* WASI's code; with one it is due at once */
	uint8_t type;          /* enum wasi_eventtype */
	bool now;              /* due at once */
};

/* One call's state. polls[i] belongs to subscriptions[i]; poll(2) skips those with fd -1,
 * and call_wait() has the last one. */
struct poller {
	struct subscription *subscriptions;
	struct pollfd *polls;
	uint32_t len;
	int64_t until_ns; /* the first clock that is due; INT64_MAX for none */
};

static void poller_deinit(struct poller *p)
{
	free(p->subscriptions);
	free(p->polls);
}

/* Times beyond the end of the host's clock are never. */
static int64_t poller_saturate(int64_t base, uint64_t ns)
{
	return ns > (uint64_t)(INT64_MAX - base) ? INT64_MAX : base + (int64_t)ns;
}

static int poller_add_clock(struct poller *p, struct subscription *s, const uint8_t *in)
{
	uint64_t timeout = guest_load_u64(in + WASI_SUBSCRIPTION_CLOCK_TIMEOUT);
	uint16_t flags = guest_load_u16(in + WASI_SUBSCRIPTION_CLOCK_FLAGS);
	uint32_t clock = guest_load_u32(in + WASI_SUBSCRIPTION_CLOCK);
	int64_t now = call_clock_ns(CLOCK_MONOTONIC);

	if (clock > WASI_CLOCK_THREAD_CPU || (flags & ~WASI_SUB_CLOCK_ABSTIME))
		return -EINVAL;
	if (clock > WASI_CLOCK_MONOTONIC) {
		s->error = WASI_ENOTSUP;
		s->now = true;
		return 0;
	}
	if (!(flags & WASI_SUB_CLOCK_ABSTIME)) {
		s->at_ns = poller_saturate(now, timeout);
	} else if (clock == WASI_CLOCK_MONOTONIC) {
		s->at_ns = poller_saturate(0, timeout);
	} else {
		uint64_t wall = (uint64_t)call_clock_ns(CLOCK_REALTIME);

		s->at_ns = poller_saturate(now, timeout > wall ? timeout - wall : 0);
	}
	if (s->at_ns < p->until_ns)
		p->until_ns = s->at_ns;
	return 0;
}

static int poller_add_fd(struct call *c, struct subscription *s, struct pollfd *poll,
	const uint8_t *in, uint8_t *scratch)
{
	uint32_t fd = guest_load_u32(in + WASI_SUBSCRIPTION_FD);
	struct stream *stream = streams_find(c->streams, fd);

	if (stream) {
		s->stream = stream;
		poll->fd = stream->fd;
		poll->events = s->type == WASI_EVENT_FD_READ ? POLLIN : POLLOUT;
		return 0;
	}
	s->now = true;
	if (streams_is_socket_fd(c->streams, fd))
		s->error = WASI_EBADF;
	else
		s->error = (uint16_t)c->check_fd(c, fd, scratch);
	return 0;
}

/* Reads the subscriptions at in. check_fd() takes the answer's place for its own meanwhile. */
static int poller_read(struct poller *p, struct call *c, const uint8_t *in, uint8_t *out)
{
	uint8_t copy[WASI_SUBSCRIPTION_SIZE];
	int r;

	for (uint32_t i = 0; i < p->len; i++, in += WASI_SUBSCRIPTION_SIZE) {
		struct subscription *s = &p->subscriptions[i];

		memcpy(copy, in, sizeof(copy));
		*s = (struct subscription){
			.userdata = guest_load_u64(copy + WASI_SUBSCRIPTION_USERDATA),
			.type = copy[WASI_SUBSCRIPTION_TYPE],
			.at_ns = INT64_MAX,
		};
		p->polls[i].fd = -1;
		if (s->type > WASI_EVENT_FD_WRITE)
			return -EINVAL;
		if (s->type == WASI_EVENT_CLOCK)
			r = poller_add_clock(p, s, copy);
		else
			r = poller_add_fd(c, s, &p->polls[i], copy, out);
		if (r < 0)
			return r;
		if (s->now)
			p->until_ns = 0;
	}
	return 0;
}

/*
 * The rules of a drain: the listener is ready for a connection that came back (drain.h) and for
 * nothing else, and a connection becomes readable when it has been idle, so that the guest reads
 * its end. Returns when the first of these is due, on the monotonic clock.
 */
static int64_t poller_drain(struct poller *p, const struct streams *streams)
{
	uint64_t at_ms = UINT64_MAX;

	for (uint32_t i = 0; i < p->len; i++) {
		struct subscription *s = &p->subscriptions[i];

		if (!s->stream || s->type != WASI_EVENT_FD_READ)
			continue;
		if (s->stream->kind == STREAM_LISTENER) {
			p->polls[i].fd = -1;
			s->now = streams->n_returned > 0;
			at_ms = s->now ? 0 : at_ms;
		} else if (drain_idle_at(streams, s->stream) < at_ms) {
			at_ms = drain_idle_at(streams, s->stream);
		}
	}
	return poller_saturate(
		0, at_ms > INT64_MAX / CALL_NS_PER_MS ? INT64_MAX : at_ms * CALL_NS_PER_MS);
}

static bool poller_is_due(const struct subscription *s, const struct pollfd *poll,
	const struct streams *streams, int64_t now)
{
	if (s->now)
		return true;
	if (s->type == WASI_EVENT_CLOCK)
		return s->at_ns <= now;
	return poll->revents != 0 ||
	       (streams->drain_ms && s->stream && s->type == WASI_EVENT_FD_READ &&
		       drain_is_idle(streams, s->stream));
}

static void poller_write_event(
	uint8_t *out, const struct subscription *s, const struct pollfd *poll)
{
	int bytes = 0;

	memset(out, 0, WASI_EVENT_SIZE);
	guest_store_u64(out + WASI_EVENT_USERDATA, s->userdata);
	guest_store_u16(out + WASI_EVENT_ERROR, s->error);
	out[WASI_EVENT_TYPE] = s->type;
	if (s->type == WASI_EVENT_CLOCK || s->error)
		return;
	/* Say 1 of what nobody knows, a listener's bytes or a file's: some programs take 0 for the
	 * end. */
	if (s->type == WASI_EVENT_FD_WRITE || poll->fd < 0 || ioctl(poll->fd, FIONREAD, &bytes) < 0)
		bytes = 1;
	guest_store_u64(out + WASI_EVENT_NBYTES, (uint64_t)bytes);
	/* POLLRDHUP is no hangup: a peer that only ended its own direction still waits for the
	 * answer. */
	if (poll->fd >= 0 && (poll->revents & (POLLHUP | POLLERR)))
		guest_store_u16(out + WASI_EVENT_FLAGS, WASI_EVENT_HANGUP);
}

/* Waits, and writes the events that are due, in the order of their subscriptions. */
static int poller_run(struct poller *p, const struct call *c, uint8_t *out, uint32_t *ret_n)
{
	uint32_t n = 0;

	do {
		int64_t until = p->until_ns, now;
		int r;

		if (c->streams->drain_ms) {
			int64_t at = poller_drain(p, c->streams);

			until = at < until ? at : until;
		}
		r = call_wait(c, p->polls, p->len, until);
		if (r < 0)
			return r;
		now = call_clock_ns(CLOCK_MONOTONIC);
		for (uint32_t i = 0; i < p->len; i++) {
			struct subscription *s = &p->subscriptions[i];

			if (!poller_is_due(s, &p->polls[i], c->streams, now))
				continue;
			poller_write_event(out + (size_t)n++ * WASI_EVENT_SIZE, s, &p->polls[i]);
			if (s->stream && s->stream->kind == STREAM_LISTENER)
				s->stream->announced = true;
		}
	} while (n == 0);
	*ret_n = n;
	return 0;
}

/* poll_oneoff(subscriptions, events, len, ret_n) */
int call_poll_oneoff(struct call *c)
{
	_cleanup_(poller_deinit) struct poller p = { .len = c->arg[2], .until_ns = INT64_MAX };
	uint8_t *in, *out, *ret_n;
	uint32_t n;
	int r;

	if (p.len == 0 || p.len > SUBSCRIPTIONS_MAX)
		return -EINVAL;
	r = guest_mem_at(&c->mem, c->arg[0], p.len, WASI_SUBSCRIPTION_SIZE, &in);
	if (r < 0)
		return r;
	r = guest_mem_at(&c->mem, c->arg[1], p.len, WASI_EVENT_SIZE, &out);
	if (r < 0)
		return r;
	r = guest_mem_at(&c->mem, c->arg[3], 1, sizeof(uint32_t), &ret_n);
	if (r < 0)
		return r;
	p.subscriptions = calloc(p.len, sizeof(*p.subscriptions));
	if (!p.subscriptions)
		return -ENOMEM;
	p.polls = calloc((size_t)p.len + 1, sizeof(*p.polls));
	if (!p.polls)
		return -ENOMEM;
	r = poller_read(&p, c, in, out);
	if (r == 0)
		r = poller_run(&p, c, out, &n);
	if (r < 0)
		return call_failed(r);
	guest_store_u32(ret_n, n);
	return 0;
}
