/* SPDX-License-Identifier: MIT */
/*
 * The line dialect: one table of a word and what stands behind it, read in both directions. Text
 * runs to the end of the line as it is. A line may end in CR LF, as telnet sends it; so no text
 * can end in CR.
 */
#include "proto/line.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/parse.h"

enum line_payload { NOTHING, NUMBER, ID, TEXT };

static const struct line {
	enum role from;
	enum msg_type type;
	const char *word; /* empty: the payload is the line */
	enum line_payload payload;
} lines[] = {
	{ ROLE_CLIENT, MSG_GREETING, "HELLO", NUMBER },
	{ ROLE_CLIENT, MSG_AUTHENTICATE, "AUTH", TEXT },
	{ ROLE_CLIENT, MSG_WANT, "PORT", NUMBER },
	{ ROLE_CLIENT, MSG_HELLO, "", NUMBER },
	{ ROLE_CLIENT, MSG_ACCEPT, "ACCEPT", ID },
	{ ROLE_SERVER, MSG_HELLO, "OK", NUMBER },
	{ ROLE_SERVER, MSG_ERROR, "ERR", TEXT },
	{ ROLE_SERVER, MSG_HEARTBEAT, "PING", NOTHING },
	{ ROLE_SERVER, MSG_CONNECTION, "CONN", ID },
};

/* Whether a reader gets the text back as it was written. */
static bool line_text_is_fit(const char *text, size_t len)
{
	return !memchr(text, '\n', len) && !memchr(text, '\0', len) &&
	       !(len && text[len - 1] == '\r');
}

static int line_decode_payload(
	enum line_payload payload, const char *s, size_t len, struct msg *msg)
{
	switch (payload) {
	case NOTHING:
		return len ? -EBADMSG : 0;
	case NUMBER:
		return parse_u16(s, len, &msg->port) < 0 ? -EBADMSG : 0;
	case ID:
		return uuid_parse(s, len, &msg->id) < 0 ? -EBADMSG : 0;
	case TEXT:
		if (!line_text_is_fit(s, len))
			return -EBADMSG;
		memcpy(msg->text, s, len);
		msg->text[len] = '\0';
		msg->text_len = len;
		return 0;
	}
	return -EBADMSG;
}

int line_decode(enum role from, const char *line, size_t len, struct msg *msg)
{
	const char *blank;
	size_t word_len, skip;

	if (len && line[len - 1] == '\r')
		len--;
	blank = memchr(line, ' ', len);
	word_len = blank ? (size_t)(blank - line) : len;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const struct line *l = &lines[i];

		if (l->from != from)
			continue;
		if (!l->word[0])
			skip = 0;
		else if (strlen(l->word) == word_len && memcmp(line, l->word, word_len) == 0)
			skip = word_len + (blank && l->payload != NOTHING);
		else
			continue;
		if (line_decode_payload(l->payload, line + skip, len - skip, msg) < 0)
			continue;
		msg->type = l->type;
		return 0;
	}
	return -EBADMSG;
}

/* Writes the payload into buf, of `size` bytes; *ret_len is what it needs. */
static int line_encode_payload(
	const struct line *l, const struct msg *msg, char *buf, size_t size, size_t *ret_len)
{
	char id[UUID_TEXT_LEN + 1];
	size_t len = msg->text_len;

	switch (l->payload) {
	case NOTHING:
		*ret_len = 0;
		return 0;
	case NUMBER:
		*ret_len = (size_t)snprintf(buf, size, "%u", msg->port);
		return 0;
	case ID:
		uuid_format(&msg->id, id);
		*ret_len = (size_t)snprintf(buf, size, "%s", id);
		return 0;
	case TEXT:
		if (l->type == MSG_ERROR)
			len = min_u64(len, size);
		if (!line_text_is_fit(msg->text, len))
			return -EINVAL;
		if (len > size)
			return -EMSGSIZE;
		memcpy(buf, msg->text, len);
		*ret_len = len;
		return 0;
	}
	return -EINVAL;
}

int line_encode(enum role from, const struct msg *msg, char ret_line[MSG_MAX], size_t *ret_len)
{
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const struct line *l = &lines[i];
		size_t at, len;
		int r;

		if (l->from != from || l->type != msg->type)
			continue;
		at = (size_t)snprintf(ret_line, MSG_MAX,
			l->word[0] && l->payload != NOTHING ? "%s " : "%s", l->word);
		r = line_encode_payload(l, msg, ret_line + at, MSG_MAX - at, &len);
		if (r < 0)
			return r;
		*ret_len = at + len;
		return 0;
	}
	return -EINVAL;
}
