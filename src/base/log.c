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

#include "base/fd.h"
#include "base/printable.h"

enum log_style {
	LOG_STYLE_KNOWN = 1 << 0,
	LOG_STYLE_COLOUR = 1 << 1, /* stderr is a terminal and NO_COLOR is not set */
	LOG_STYLE_TIME = 1 << 2,   /* no journal reads along */
};

static atomic_int log_level_max = LOG_LEVEL_INFO;
static atomic_int log_style;
static atomic_uint_fast64_t log_lost; /* lines that could not be written, and not yet told */

static const struct {
	const char *name, *colour;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", "\033[31m" },
	[LOG_LEVEL_WARN] = { "warn", "\033[33m" },
	[LOG_LEVEL_INFO] = { "info", "\033[32m" },
	[LOG_LEVEL_DEBUG] = { "debug", "\033[2m" },
};

static int log_style_get(void)
{
	int style = atomic_load_explicit(&log_style, memory_order_relaxed);
	const char *no_color = getenv("NO_COLOR");

	if (style)
		return style;
	style = LOG_STYLE_KNOWN;
	if (isatty(STDERR_FILENO) && !(no_color && *no_color))
		style |= LOG_STYLE_COLOUR;
	if (!getenv("JOURNAL_STREAM"))
		style |= LOG_STYLE_TIME;
	atomic_store_explicit(&log_style, style, memory_order_relaxed);
	return style;
}

/* Writes "2026-01-31T12:00:00.123Z " and returns its length. */
static size_t log_format_time(char *line, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!gmtime_r(&now.tv_sec, &tm))
		return 0;
	len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return len +
	       (size_t)snprintf(line + len, size - len, ".%03dZ ", (int)(now.tv_nsec / 1000000));
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level_max, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level_max, memory_order_relaxed);
}

/* What a line begins with; returns its length, at most LOG_LINE_MAX - 1. */
static size_t log_format_head(
	char line[LOG_LINE_MAX + 1], enum log_level level, const char *component)
{
	int style = log_style_get(), n;
	bool colour = style & LOG_STYLE_COLOUR;
	size_t len = 0;

	if (style & LOG_STYLE_TIME)
		len = log_format_time(line, LOG_LINE_MAX + 1);
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

static void log_tell_lost(void)
{
	uint64_t lost = atomic_exchange_explicit(&log_lost, 0, memory_order_relaxed);
	char line[LOG_LINE_MAX + 1];
	size_t len;

	if (!lost)
		return;
	len = log_format_head(line, LOG_LEVEL_WARN, "log");
	len += (size_t)snprintf(line + len, sizeof line - len,
		"%" PRIu64 " lines are missing here, for nobody read on\n", lost);
	if (!log_put(line, len))
		atomic_fetch_add_explicit(&log_lost, lost, memory_order_relaxed);
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

void log_write(enum log_level level, const char *component, const char *fmt, ...)
{
	int saved = errno, n;
	char line[LOG_LINE_MAX + 1], text[LOG_LINE_MAX + 1];
	size_t len;
	va_list ap;

	assert((size_t)level < ARRAY_LEN(levels));
	len = log_format_head(line, level, component);
	va_start(ap, fmt);
	errno = saved; /* for %m */
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n > 0)
		len += log_show(line + len, LOG_LINE_MAX - 1 - len, text,
			min_u64((size_t)n, sizeof text - 1));
	line[len++] = '\n';
	log_tell_lost();
	if (!log_put(line, len))
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
