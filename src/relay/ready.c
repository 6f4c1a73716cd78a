/* SPDX-License-Identifier: MIT */
/*
 * Invariants: a stack with a `ready` is in its `keys`; it is in the level of its count exactly
 * while it has connections; `count` is the sum of theirs. In a stack the times of parking never
 * fall, so the coldest is the first. Owns the descriptors.
 */
#include "relay/ready.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "net/sockopt.h"

#define READY_ROOM_FIRST 4 /* a quiet session has two */

int ready_init(struct ready *r, uint32_t max_stacks, uint32_t max)
{
	*r = (struct ready){ .max = max };
	for (unsigned level = 0; level <= READY_LEVELS; level++)
		list_init(&r->levels[level]);
	return pending_init(&r->keys, max_stacks);
}

void ready_deinit(struct ready *r)
{
	assert(!r->count);
	pending_deinit(&r->keys);
}

/* --- a stack --- */

static uint32_t ready_level(uint32_t count)
{
	return (uint32_t)min_u64(count, READY_LEVELS);
}

/* The first `count` are there still, or are there now. Where its level stays, so does its place
 * there. */
static void ready_set_count(struct ready_stack *s, uint32_t count)
{
	struct ready *r = s->ready;
	uint32_t level = ready_level(count), old_level = ready_level(s->count);

	r->count = r->count - s->count + count;
	s->count = count;
	if (level == old_level)
		return;
	if (old_level)
		list_remove(&s->link);
	if (level)
		list_push_back(&r->levels[level], &s->link);
	r->richest = (uint32_t)max_u64(r->richest, level);
	/* It falls no further than it has risen. */
	while (r->richest && list_empty(&r->levels[r->richest]))
		r->richest--;
}

static void ready_drop(struct ready_stack *s)
{
	if (!s->count)
		return;
	for (uint32_t at = 0; at < s->count; at++)
		sockopt_close_in_order(s->conns[at].fd);
	ready_set_count(s, 0);
}

int ready_open(struct ready *r, struct ready_stack *s, uint32_t max)
{
	int error;

	assert(!s->ready);
	*s = (struct ready_stack){ .max = max };
	list_init(&s->link);
	error = uuid_random(&s->entry.id);
	if (error == 0)
		error = pending_add(&r->keys, &s->entry);
	if (error == 0)
		s->ready = r;
	return error;
}

void ready_close(struct ready_stack *s)
{
	struct ready *r = s->ready;

	if (!r)
		return;
	ready_drop(s);
	pending_remove(&r->keys, &s->entry);
	r->ended[r->next_ended++ % READY_ENDED_KEYS] = s->entry.id;
	free(s->conns);
	*s = (struct ready_stack){ 0 };
}

struct ready_stack *ready_find(const struct ready *r, const struct uuid *key)
{
	struct pending_entry *entry = pending_find(&r->keys, key);

	return entry ? container_of(entry, struct ready_stack, entry) : NULL;
}

bool ready_has_ended(const struct ready *r, const struct uuid *key)
{
	for (unsigned i = 0; i < min_u64(r->next_ended, READY_ENDED_KEYS); i++)
		if (uuid_equal(&r->ended[i], key))
			return true;
	return false;
}

static int ready_grow(struct ready_stack *s)
{
	uint32_t room = s->room ? s->room * 2 : READY_ROOM_FIRST;
	struct ready_conn *conns = reallocarray(s->conns, room, sizeof(*conns));

	if (!conns)
		return -ENOMEM;
	s->conns = conns;
	s->room = room;
	return 0;
}

/* Where something is parked: that level has one then. */
static struct ready_stack *ready_richest(const struct ready *r)
{
	return list_entry(r->levels[r->richest].next, struct ready_stack, link);
}

static void ready_close_coldest(struct ready_stack *s)
{
	sockopt_close_in_order(s->conns[0].fd);
	memmove(&s->conns[0], &s->conns[1], (s->count - 1) * sizeof(*s->conns));
	ready_set_count(s, s->count - 1);
}

/* Or a few that park all they may would leave nothing to anybody else. */
static bool ready_make_room_for(const struct ready_stack *s)
{
	const struct ready *r = s->ready;

	if (r->richest <= READY_KEPT || ready_level(s->count) + 1 >= r->richest)
		return false;
	ready_close_coldest(ready_richest(r));
	return true;
}

int ready_park(struct ready_stack *s, int fd, bool front, uint64_t now_ms)
{
	struct ready *r = s->ready;
	int error = 0;

	if (now_ms < s->paused_until_ms)
		return -EAGAIN;
	if (s->count >= s->max)
		return -ENOSPC;
	if (s->count == s->room)
		error = ready_grow(s);
	if (error < 0)
		return error;
	if (r->count >= r->max && !ready_make_room_for(s))
		return -ENOSPC;
	s->conns[s->count] = (struct ready_conn){ .fd = fd, .front = front, .parked_ms = now_ms };
	ready_set_count(s, s->count + 1);
	return 0;
}

/* Nobody has hung up, and nobody has said what wasn't asked for. */
static bool ready_is_quiet(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool ready_take(struct ready_stack *s, struct ready_conn *ret_conn)
{
	while (s->count) {
		*ret_conn = s->conns[s->count - 1];
		ready_set_count(s, s->count - 1);
		if (ready_is_quiet(ret_conn->fd))
			return true;
		sockopt_close_in_order(ret_conn->fd);
	}
	return false;
}

void ready_note_taken(struct ready_stack *s)
{
	s->untaken = 0;
}

void ready_note_untaken(struct ready_stack *s, uint64_t now_ms)
{
	if (++s->untaken < READY_UNTAKEN_MAX)
		return;
	s->untaken = 0;
	s->paused_until_ms = now_ms + READY_PAUSE_MS;
	ready_drop(s);
}

/* --- all of them --- */

uint32_t ready_relieve(struct ready *r, uint32_t wanted)
{
	uint32_t had = 0;

	for (; had < wanted && r->richest; had++)
		ready_close_coldest(ready_richest(r));
	return had;
}

void ready_drop_all(struct ready *r)
{
	while (r->richest)
		ready_drop(ready_richest(r));
}

/* `later`: so many that were parked later are kept. */
static bool ready_is_old(const struct ready_conn *conn, uint32_t later, uint64_t now_ms)
{
	uint64_t idle_ms = now_ms - conn->parked_ms;

	if (later >= READY_KEPT && idle_ms >= READY_SPARE_MS)
		return true;
	return idle_ms >= (conn->front ? READY_FRONT_MS : READY_IDLE_MS);
}

/* `polled`: one for each connection, in their order. */
static void ready_sweep_stack(struct ready_stack *s, const struct pollfd *polled, uint64_t now_ms)
{
	uint32_t had = s->count, kept = 0;

	/* From the last on, and those that stay move up to it. */
	for (uint32_t at = had; at-- > 0;) {
		if (polled[at].revents || ready_is_old(&s->conns[at], kept, now_ms))
			sockopt_close_in_order(s->conns[at].fd);
		else
			s->conns[had - ++kept] = s->conns[at];
	}
	memmove(s->conns, &s->conns[had - kept], kept * sizeof(*s->conns));
	ready_set_count(s, kept);
}

void ready_sweep(struct ready *r, uint64_t now_ms)
{
	struct pollfd *polled = calloc(r->count + 1, sizeof(*polled));
	nfds_t count = 0, at = 0;

	/* Without memory, the next sweep finds them. */
	if (!polled)
		return;
	for (unsigned level = 1; level <= READY_LEVELS; level++)
		list_for_each(pos, &r->levels[level]) {
			struct ready_stack *s = list_entry(pos, struct ready_stack, link);

			for (uint32_t i = 0; i < s->count; i++)
				polled[count++] =
					(struct pollfd){ .fd = s->conns[i].fd, .events = POLLIN };
		}
	(void)poll(polled, count, 0);
	/* One that loses some goes to a level that is done with. */
	for (unsigned level = 1; level <= READY_LEVELS; level++)
		list_for_each_safe(pos, &r->levels[level]) {
			struct ready_stack *s = list_entry(pos, struct ready_stack, link);
			uint32_t had = s->count;

			ready_sweep_stack(s, polled + at, now_ms);
			at += had;
		}
	free(polled);
}
