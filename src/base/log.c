/* SPDX-License-Identifier: MIT */
/*
 * The log. Its settings are the only mutable globals of the project; they are atomics, because
 * workers log too. What stderr is gets looked at once, by whichever thread logs first: the
 * answer is the same for all, so a race merely looks twice.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum log_style {
	LOG_STYLE_KNOWN = 1 << 0,
	LOG_STYLE_COLOUR = 1 << 1, /* stderr is a terminal and NO_COLOR is not set */
	LOG_STYLE_TIME = 1 << 2,   /* no journal reads along */
};

static atomic_int log_level_max = LOG_LEVEL_INFO;
static atomic_int log_style;

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

void log_write(enum log_level level, const char *component, const char *fmt, ...)
{
	int saved = errno, style = log_style_get(), n; /* isatty(3) sets errno */
	bool colour = style & LOG_STYLE_COLOUR;
	char line[LOG_LINE_MAX + 1]; /* the newline takes the place of the NUL at the latest */
	size_t len = 0;
	va_list ap;

	assert((size_t)level < ARRAY_LEN(levels));
	if (style & LOG_STYLE_TIME)
		len = log_format_time(line, sizeof line);
	n = snprintf(line + len, sizeof line - len,
		"%s%s%s %s: ", colour ? levels[level].colour : "", levels[level].name,
		colour ? "\033[0m" : "", component);
	if (n > 0)
		len = min_u64(len + (size_t)n, LOG_LINE_MAX - 1);
	va_start(ap, fmt);
	errno = saved; /* for %m */
	n = vsnprintf(line + len, sizeof line - len, fmt, ap);
	va_end(ap);
	if (n > 0)
		len = min_u64(len + (size_t)n, LOG_LINE_MAX - 1);
	line[len++] = '\n';
	/* A log that can't be written has nobody to be reported to. */
	if (write(STDERR_FILENO, line, len) < 0)
		(void)0;
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
