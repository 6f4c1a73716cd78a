/* SPDX-License-Identifier: MIT */
/*
 * A line comes by log_ring_append(), told to the follower from within, and dropped at the old
 * end to make room for a newer one: one line when all slots are taken, as many as it takes when the
 * texts together are too long. So an application that floods its log pushes out its own old lines,
 * and never takes more than LOG_RING_BYTES.
 *
 * The line with number n stands in slot n % LOG_RING_LINES. The lines first..next-1 are kept, and
 * `bytes` is the sum of their lengths. Where there was no memory for a text its slot is empty: a
 * reader sees a gap in the numbers, as where it was too slow.
 */
#include "os/log_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"

struct log_slot {
	char *text; /* owned; NULL: there was no memory for it */
	uint32_t len;
	enum log_stream stream;
	uint64_t time_ms;
};

struct log_ring {
	uint64_t first, next; /* numbers: of the oldest line, of the next one */
	size_t bytes;         /* of all texts */
	log_ring_fn follower; /* NULL: none */
	void *owner;          /* of the follower */
	bool appending;
	struct log_slot slots[LOG_RING_LINES];
};

const char *const log_stream_names[] = {
	[LOG_STREAM_STDOUT] = "stdout",
	[LOG_STREAM_STDERR] = "stderr",
	[LOG_STREAM_BUILD] = "build",
	[LOG_STREAM_SUPERVISOR] = "supervisor",
	NULL,
};

static_assert(ARRAY_LEN(log_stream_names) == LOG_STREAMS + 1, "every stream has a name");

const char *log_stream_name(enum log_stream stream)
{
	return log_stream_names[stream];
}

struct log_ring *log_ring_new(void)
{
	struct log_ring *ring = calloc(1, sizeof *ring);

	if (ring)
		ring->first = ring->next = 1;
	return ring;
}

static struct log_slot *log_ring_slot(const struct log_ring *ring, uint64_t seq)
{
	return (struct log_slot *)&ring->slots[seq % LOG_RING_LINES];
}

static void log_ring_drop(struct log_ring *ring)
{
	struct log_slot *slot = log_ring_slot(ring, ring->first++);

	ring->bytes -= slot->len;
	free(slot->text);
	*slot = (struct log_slot){ 0 };
}

struct log_ring *log_ring_free(struct log_ring *ring)
{
	if (!ring)
		return NULL;
	while (ring->first < ring->next)
		log_ring_drop(ring);
	assert(ring->bytes == 0);
	free(ring);
	return NULL;
}

void log_ring_append(struct log_ring *ring, enum log_stream stream, const char *text, size_t len)
{
	struct log_line line;
	struct log_slot *slot;

	assert(!ring->appending);
	len = len < LOG_RING_LINE_MAX ? len : LOG_RING_LINE_MAX;
	while (ring->next - ring->first == LOG_RING_LINES ||
		(ring->first < ring->next && ring->bytes + len > LOG_RING_BYTES))
		log_ring_drop(ring);
	slot = log_ring_slot(ring, ring->next++);
	slot->text = malloc(len + 1);
	if (!slot->text)
		return;
	memcpy(slot->text, text, len);
	slot->text[len] = '\0';
	slot->len = (uint32_t)len;
	slot->stream = stream;
	slot->time_ms = clock_wall_ms();
	ring->bytes += len;
	if (!log_ring_get(ring, ring->next - 1, &line))
		assert(!"the line just appended is there");
	ring->appending = true;
	if (ring->follower)
		ring->follower(ring->owner, &line);
	ring->appending = false;
}

uint64_t log_ring_first(const struct log_ring *ring)
{
	return ring->first;
}

uint64_t log_ring_next(const struct log_ring *ring)
{
	return ring->next;
}

bool log_ring_get(const struct log_ring *ring, uint64_t seq, struct log_line *ret_line)
{
	const struct log_slot *slot = log_ring_slot(ring, seq);

	if (seq < ring->first || seq >= ring->next || !slot->text)
		return false;
	*ret_line = (struct log_line){
		.seq = seq,
		.time_ms = slot->time_ms,
		.stream = slot->stream,
		.text = slot->text,
		.len = slot->len,
	};
	return true;
}

void log_ring_follow(struct log_ring *ring, log_ring_fn fn, void *owner)
{
	assert(!ring->follower);
	ring->follower = fn;
	ring->owner = owner;
}
