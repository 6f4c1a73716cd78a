/* SPDX-License-Identifier: MIT */
/*
 * The log. Its settings are the only mutable globals of the project; they are atomics, because
 * workers log too. What stderr is gets looked at once, by whichever thread logs first: the
 * answer is the same for all, so a race merely looks twice.
 */
#include "base/lang.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json_line.h"
#include "base/printable.h"
#include "base/tty.h"

enum log_style {
	LOG_STYLE_KNOWN = 1 << 0,
	LOG_STYLE_COLOUR = 1 << 1, /* of stderr: base/tty.h */
	LOG_STYLE_TIME = 1 << 2,   /* no journal reads along */
};

static atomic_int log_level_max = LOG_LEVEL_STEP;
static atomic_int log_format;
static atomic_int log_style;
static atomic_bool log_line_is_left;
static atomic_uint_fast64_t log_lost; /* lines that could not be written, and not yet told */

static const struct {
	const char *name, *colour;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", "\033[31m" },
	[LOG_LEVEL_WARN] = { "warn", "\033[33m" },
	[LOG_LEVEL_INFO] = { "info", "\033[32m" },
	[LOG_LEVEL_STEP] = { "info", "\033[32m" },
	[LOG_LEVEL_DEBUG] = { "debug", "\033[2m" },
};

static int log_style_get(void)
{
	int style = atomic_load_explicit(&log_style, memory_order_relaxed);

	if (style)
		return style;
	style = LOG_STYLE_KNOWN;
	if (tty_has_colours(STDERR_FILENO))
		style |= LOG_STYLE_COLOUR;
	if (!getenv("JOURNAL_STREAM"))
		style |= LOG_STYLE_TIME;
	atomic_store_explicit(&log_style, style, memory_order_relaxed);
	return style;
}

/* Writes "2026-01-31T12:00:00.123Z " or "12:00:00 " and returns its length. */
static size_t log_format_time(char *line, size_t size, bool local)
{
	struct timespec now;
	struct tm tm = { 0 };
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!(local ? localtime_r : gmtime_r)(&now.tv_sec, &tm))
		return 0;
	if (local)
		return strftime(line, size, "%H:%M:%S ", &tm);
	len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return len +
	       (size_t)snprintf(line + len, size - len, ".%03dZ ", (int)(now.tv_nsec / 1000000));
}

void log_set_format(enum log_format format)
{
	tzset(); /* localtime_r(3) need not */
	atomic_store_explicit(&log_format, (int)format, memory_order_relaxed);
}

void log_leave_line(void)
{
	atomic_store_explicit(&log_line_is_left, true, memory_order_relaxed);
}

const char *log_erase_line(void)
{
	return atomic_exchange_explicit(&log_line_is_left, false, memory_order_relaxed) ? "\r\033[K"
											: "";
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level_max, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level_max, memory_order_relaxed);
}

static int log_format_head_for_terminal(
	char *line, size_t size, enum log_level level, const char *component)
{
	bool colour = log_style_get() & LOG_STYLE_COLOUR;
	bool told = level != LOG_LEVEL_INFO && level != LOG_LEVEL_STEP;
	char when[sizeof("12:00:00 ")] = "";

	(void)log_format_time(when, sizeof(when), true);
	return snprintf(line, size, "%s%s%s%s%s%s%s%s%s: ", log_erase_line(),
		colour ? "\033[2m" : "", when, colour ? "\033[0m" : "",
		told && colour ? levels[level].colour : "", told ? levels[level].name : "",
		told && colour ? "\033[0m" : "", told ? " " : "", component);
}

/* What a line begins with; returns its length, at most LOG_LINE_MAX - 1. */
static size_t log_format_head(
	char line[LOG_LINE_MAX + 1], enum log_level level, const char *component)
{
	int style = log_style_get(), n;
	bool colour = style & LOG_STYLE_COLOUR;
	size_t len = 0;

	if (atomic_load_explicit(&log_format, memory_order_relaxed) == LOG_FORMAT_TERMINAL) {
		n = log_format_head_for_terminal(line, LOG_LINE_MAX + 1, level, component);
		return n > 0 ? min_u64((size_t)n, LOG_LINE_MAX - 1) : 0;
	}
	if (style & LOG_STYLE_TIME)
		len = log_format_time(line, LOG_LINE_MAX + 1, false);
	n = snprintf(line + len, LOG_LINE_MAX + 1 - len,
		"%s%s%s %s: ", colour ? levels[level].colour : "", levels[level].name,
		colour ? "\033[0m" : "", component);
	return n > 0 ? min_u64(len + (size_t)n, LOG_LINE_MAX - 1) : len;
}

/* A terminal may be stopped, a pager may not read on: that must hold nobody up. */
static bool log_put(const char *line, size_t len)
{
	return fd_has_room(STDERR_FILENO) && write(STDERR_FILENO, line, len) == (ssize_t)len;
}

/* As it is shown, as far as it fits; returns how much that is. */
static size_t log_show(char *out, size_t size, const char *text, size_t len)
{
	struct printable_piece piece;
	size_t n = 0;

	for (size_t at = 0; at < len; at += piece.used) {
		printable_next(text + at, len - at, &piece);
		if (piece.len > size - n)
			break;
		memcpy(out + n, piece.text, piece.len);
		n += piece.len;
	}
	return n;
}

/* A whole line in the log's format, to be written with one write(2). False: there was no room. */
static bool log_put_message(
	enum log_level level, const char *component, const char *text, size_t text_len)
{
	char line[LOG_LINE_MAX + 1];
	struct json_line object;
	size_t len;

	if (atomic_load_explicit(&log_format, memory_order_relaxed) == LOG_FORMAT_JSON) {
		json_line_begin(&object, clock_wall_ms(), levels[level].name, component);
		(void)json_line_add(&object, "message", text, text_len);
		json_line_end(&object);
		return log_put(object.text, object.len);
	}
	len = log_format_head(line, level, component);
	len += log_show(line + len, LOG_LINE_MAX - 1 - len, text, text_len);
	line[len++] = '\n';
	return log_put(line, len);
}

static void log_tell_lost(void)
{
	uint64_t lost = atomic_exchange_explicit(&log_lost, 0, memory_order_relaxed);
	char text[128];
	int len;

	if (!lost)
		return;
	len = snprintf(
		text, sizeof text, "%" PRIu64 " lines are missing here, for nobody read on", lost);
	if (!log_put_message(LOG_LEVEL_WARN, "log", text, (size_t)len))
		atomic_fetch_add_explicit(&log_lost, lost, memory_order_relaxed);
}

void log_write(enum log_level level, const char *component, const char *fmt, ...)
{
	int saved = errno, n;
	char text[LOG_LINE_MAX + 1];
	va_list ap;

	assert((size_t)level < ARRAY_LEN(levels));
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_tell_lost();
	if (!log_put_message(
		    level, component, text, n > 0 ? min_u64((size_t)n, sizeof text - 1) : 0))
		atomic_fetch_add_explicit(&log_lost, 1, memory_order_relaxed);
	errno = saved;
}

const char *log_escape(char *buf, size_t size, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = data;
	size_t at = 0;

	assert(size > 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t c = in[i];
		bool quoted = c == '\\' || c == '\'', plain = c >= 0x20 && c < 0x7f;
		size_t need = quoted ? 2 : plain ? 1 : 4;

		if (need >= size - at)
			break;
		if (quoted || !plain)
			buf[at++] = '\\';
		if (plain) {
			buf[at++] = (char)c;
		} else {
			buf[at++] = 'x';
			buf[at++] = digits[c >> 4];
			buf[at++] = digits[c & 0xf];
		}
	}
	buf[at] = '\0';
	return buf;
}
