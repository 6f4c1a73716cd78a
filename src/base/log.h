/* SPDX-License-Identifier: MIT */
/*
 * The log: one line on stderr per call, "level component: message key=value", in lower case and
 * without a full stop. Lines are written with one write(2) each, so lines of several threads never
 * mix. A line starts with the UTC time unless systemd's journal, which adds its own, reads it; enum
 * log_format has its other looks. No call waits for a reader: lines that find no room are counted,
 * and the next one that does is preceded by one that says how many are missing.
 *
 * Whatever is in a message, a line stays a line and steers no terminal: base/printable.h. Text of a
 * peer that stands in quotes passes through log_escape() first. Secrets never get here.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/lang.h"

#include <stdbool.h>
#include <stddef.h>

/* A line with its newline; what is longer is cut. */
#define LOG_LINE_MAX 1024

enum log_level {
	LOG_LEVEL_ERROR, /* something ends here */
	LOG_LEVEL_WARN,  /* something goes on, but not as asked */
	LOG_LEVEL_INFO,  /* something has happened */
	LOG_LEVEL_STEP,  /* the default: also what `wasmrun os` shows on a terminal by itself; the
			    word in the line is "info", too */
	LOG_LEVEL_DEBUG,
};

enum log_format {
	LOG_FORMAT_PLAIN,    /* as above */
	LOG_FORMAT_TERMINAL, /* for a person: local time to the second, no "info" */
	LOG_FORMAT_JSON,     /* base/json_line.h; the message is the member "message" */
};

/* Before there are threads that log. */
void log_set_format(enum log_format format);

/*
 * For LOG_FORMAT_TERMINAL, where others write as well: the line that the cursor is in, such as one
 * about what is being done, is to go when the next one comes. log_erase_line() is what each writes
 * first: the sequence for that, or "".
 */
void log_leave_line(void);
const char *log_erase_line(void);

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *component, const char *fmt, ...) _printf_(3, 4);

/* The level is evaluated once, the arguments only when it is on. */
#define log_at(level, component, ...)                                    \
	do {                                                             \
		enum log_level log_at_level = (level);                   \
		if (log_enabled(log_at_level))                           \
			log_write(log_at_level, component, __VA_ARGS__); \
	} while (0)
#define log_error(component, ...) log_at(LOG_LEVEL_ERROR, component, __VA_ARGS__)
#define log_warn(component, ...) log_at(LOG_LEVEL_WARN, component, __VA_ARGS__)
#define log_info(component, ...) log_at(LOG_LEVEL_INFO, component, __VA_ARGS__)
#define log_step(component, ...) log_at(LOG_LEVEL_STEP, component, __VA_ARGS__)
#define log_debug(component, ...) log_at(LOG_LEVEL_DEBUG, component, __VA_ARGS__)

/*
 * Writes data into buf (size > 0) so that it can stand in single quotes on a terminal: printable
 * ASCII as it is, backslash and single quote with a backslash before them, every other byte as
 * \xNN. Cuts at the end of buf, never inside an escape. Always NUL-terminated. Returns buf.
 */
const char *log_escape(char *buf, size_t size, const void *data, size_t len);

#endif
