/* SPDX-License-Identifier: MIT */
/*
 * What the application, its build and the supervisor have said: the last LOG_RING_LINES lines, in
 * memory that is bounded twice. Every line has a number, from 1 on and never used again, so a
 * reader asks for what follows the last one that it has seen, and notices what it has missed.
 */
#ifndef OS_LOG_RING_H
#define OS_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_RING_LINES 10000
#define LOG_RING_BYTES (8U * 1024 * 1024) /* of text, all lines together */
/* Bytes of one line: what is longer comes in pieces. With a name before it, it fits into PIPE_BUF.
 */
#define LOG_RING_LINE_MAX 4000

enum log_stream {
	LOG_STREAM_STDOUT, /* the application's */
	LOG_STREAM_STDERR,
	LOG_STREAM_BUILD, /* the compiler's, both streams */
	LOG_STREAM_SUPERVISOR,
	LOG_STREAMS,
};

struct log_ring;

struct log_line {
	uint64_t seq;
	uint64_t time_ms; /* wall clock */
	enum log_stream stream;
	const char *text; /* as it came, any bytes but a newline; then a NUL. Valid until the next
			     append */
	size_t len;       /* at most LOG_RING_LINE_MAX */
};

/* A new line, from within the append: must not append itself. */
typedef void (*log_ring_fn)(void *owner, const struct log_line *line);

/* The words of the API and the command line, by number; NULL behind the last. */
extern const char *const log_stream_names[];
const char *log_stream_name(enum log_stream stream);

/* NULL: out of memory. */
struct log_ring *log_ring_new(void);
struct log_ring *log_ring_free(struct log_ring *ring);

/* Cuts at LOG_RING_LINE_MAX. Without memory the line is lost, and its number with it. */
void log_ring_append(struct log_ring *ring, enum log_stream stream, const char *text, size_t len);

/* The number of the oldest line that is kept, and the one that the next line will get; equal while
 * the ring is empty. */
uint64_t log_ring_first(const struct log_ring *ring);
uint64_t log_ring_next(const struct log_ring *ring);

/* False: that line is gone, or not yet there. */
bool log_ring_get(const struct log_ring *ring, uint64_t seq, struct log_line *ret_line);

/* Calls fn for each new line, from now on. There is one follower, which passes them on. */
void log_ring_follow(struct log_ring *ring, log_ring_fn fn, void *owner);

#endif
