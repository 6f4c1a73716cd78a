/* SPDX-License-Identifier: MIT */
#include "cli/exchange_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/lang.h"
#include "cli/running.h"
#include "cli/terminal.h"
#include "os/exchange_json.h"

#define CELL_MAX 32

static json_t *member(const json_t *object, const char *name)
{
	return json_object_get(object, name);
}

static const char *text_or(const json_t *object, const char *name, const char *fallback)
{
	const char *text = json_string_value(member(object, name));

	return text ? text : fallback;
}

static long long number(const json_t *object, const char *name)
{
	return (long long)json_integer_value(member(object, name));
}

bool exchange_text_is_over(const json_t *summary)
{
	static const char *const under_way[] = { "request", "waiting", "response" };
	const char *state = text_or(summary, "state", "");

	for (size_t i = 0; i < ARRAY_LEN(under_way); i++)
		if (strcmp(state, under_way[i]) == 0)
			return false;
	return true;
}

/* "2026-01-31 23:59:59", local time; the time of the day follows CELL_DATE. */
#define CELL_DATE 11

static void format_time(const json_t *summary, char text[CELL_MAX])
{
	time_t seconds = (time_t)(number(summary, "time") / 1000);
	struct tm tm = { 0 };

	(void)localtime_r(&seconds, &tm);
	(void)strftime(text, CELL_MAX, "%Y-%m-%d %H:%M:%S", &tm);
}

/* "200", or the word of a state without one. */
static void format_outcome(const json_t *summary, char text[CELL_MAX])
{
	if (json_is_integer(member(summary, "status")))
		(void)snprintf(text, CELL_MAX, "%lld", number(summary, "status"));
	else
		(void)snprintf(text, CELL_MAX, "%s", text_or(summary, "state", "-"));
}

static void format_duration(const json_t *summary, char text[CELL_MAX])
{
	double ms = json_number_value(member(summary, "duration_ms"));

	if (!json_is_number(member(summary, "duration_ms")))
		(void)snprintf(text, CELL_MAX, "-");
	else if (ms < 1000)
		(void)snprintf(text, CELL_MAX, "%.1f ms", ms);
	else
		(void)snprintf(text, CELL_MAX, "%.1f s", ms / 1000);
}

void exchange_text_write_head(void)
{
	printf("%-7s%-10s%-11s%-11s%-12s%-24s%s\n", "ID", "TIME", "STATUS", "TOOK", "BYTES", "FROM",
		"REQUEST");
}

void exchange_text_write_row(const json_t *summary)
{
	char when[CELL_MAX], outcome[CELL_MAX], took[CELL_MAX];
	bool http = json_is_string(member(summary, "method"));

	format_time(summary, when);
	format_outcome(summary, outcome);
	format_duration(summary, took);
	printf("%-7lld%-10s%-11s%-11s%-12lld%-24s", number(summary, "id"), when + CELL_DATE,
		outcome, took, number(summary, "bytes_out"),
		text_or(summary, "from", text_or(summary, "kind", "-")));
	(void)running_write_text(member(summary, http ? "method" : "why"));
	if (http) {
		putchar(' ');
		(void)running_write_text(member(summary, "target"));
	}
	putchar('\n');
}

/* --- one of them --- */

static void write_line(char mark, const json_t *text)
{
	printf("%c ", mark);
	(void)running_write_text(text);
	putchar('\n');
}

static void write_header(char mark, const json_t *header, bool secrets)
{
	const char *name = text_or(header, "name", "");

	printf("%c ", mark);
	(void)running_write_text(member(header, "name"));
	fputs(": ", stdout);
	if (!secrets && exchange_is_secret(name))
		fputs("(hidden, --secrets shows it)", stdout);
	else
		(void)running_write_text(member(header, "value"));
	putchar('\n');
}

static void write_text(const char *text, size_t len)
{
	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t n = newline ? (size_t)(newline - text) : len;

		terminal_write_line(stdout, text, n);
		putchar('\n');
		n += newline != NULL;
		text += n;
		len -= n;
	}
}

static void write_body(const json_t *message)
{
	const json_t *text = member(message, "text");
	long long size = number(message, "size"), kept = number(message, "kept");

	if (json_is_string(text))
		write_text(json_string_value(text), json_string_length(text));
	else
		printf("(%lld bytes that are no text: --json has them in base64)\n", kept);
	if (kept < size)
		printf("(%lld of %lld bytes were recorded)\n", kept, size);
}

static void write_message(char mark, const json_t *message, bool secrets)
{
	json_t *header;
	size_t i;

	if (!json_is_object(message))
		return;
	write_line(mark, member(message, "line"));
	json_array_foreach(member(message, "headers"), i, header)
	{
		write_header(mark, header, secrets);
	}
	printf("%c\n", mark);
	write_body(message);
}

void exchange_text_write(const json_t *exchange, bool secrets)
{
	const json_t *summary = member(exchange, "summary");
	char when[CELL_MAX], outcome[CELL_MAX], took[CELL_MAX];

	format_time(summary, when);
	format_outcome(summary, outcome);
	format_duration(summary, took);
	printf("* %lld, %s, by %s", number(summary, "id"), when, text_or(summary, "kind", "-"));
	if (json_is_string(member(summary, "from")))
		printf(" from %s", text_or(summary, "from", ""));
	if (json_is_integer(member(summary, "replay_of")))
		printf(" of %lld", number(summary, "replay_of"));
	printf(": %s after %s", outcome, took);
	if (json_is_string(member(summary, "why")))
		printf(" (%s)", text_or(summary, "why", ""));
	putchar('\n');
	if (!json_is_object(member(exchange, "request")))
		printf("* %lld bytes in, %lld bytes out\n", number(summary, "bytes_in"),
			number(summary, "bytes_out"));
	write_message('>', member(exchange, "request"), secrets);
	write_message('<', member(exchange, "response"), secrets);
}
