/* SPDX-License-Identifier: MIT */
/*
 * The messages in their JSON form (externally tagged, as serde writes a Rust enum), and the choice
 * between the dialects. What stock bore would refuse is refused: two tags, numbers that are no
 * port, text that is no UTF-8, anything behind the value.
 */
#include "proto/msg.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/owner.h"
#include "proto/frame.h"
#include "proto/line.h"
#include "proto/json_escape.h"

#define CLIENT (1 << ROLE_CLIENT)
#define SERVER (1 << ROLE_SERVER)

enum msg_payload { NOTHING, PORT, TEXT, ID, OPTIONS, REFUSE, VISITOR };

/* Who says what in JSON. */
static const struct tag {
	const char *name;
	unsigned int from; /* of CLIENT and SERVER */
	enum msg_payload payload;
} tags[] = {
	[MSG_HELLO] = { "Hello", CLIENT | SERVER, PORT },
	[MSG_AUTHENTICATE] = { "Authenticate", CLIENT, TEXT },
	[MSG_ACCEPT] = { "Accept", CLIENT, ID },
	[MSG_READY] = { "Ready", CLIENT, ID },
	[MSG_CHALLENGE] = { "Challenge", SERVER, ID },
	[MSG_HEARTBEAT] = { "Heartbeat", CLIENT | SERVER, NOTHING },
	[MSG_CONNECTION] = { "Connection", SERVER, ID },
	[MSG_VISITOR] = { "Visitor", SERVER, VISITOR },
	[MSG_MOVE] = { "Move", SERVER, NOTHING },
	[MSG_ERROR] = { "Error", SERVER, TEXT },
	[MSG_OPTIONS] = { "Options", CLIENT | SERVER, OPTIONS },
	[MSG_REFUSE] = { "Refuse", CLIENT, REFUSE },
	[MSG_GREETING] = { "Greeting", 0, PORT },
	[MSG_WANT] = { "Want", 0, PORT },
};
static_assert(ARRAY_LEN(tags) == MSG_TYPES, "a tag per message type");

bool msg_begins_json(uint8_t first)
{
	return memchr("{\" \t\r\n", first, 6) != NULL;
}

const char *msg_type_name(enum msg_type type)
{
	assert(type < MSG_TYPES);
	return tags[type].name;
}

static void msg_unref_json(json_t **value)
{
	json_decref(*value);
}

static int msg_decode_id(const json_t *value, struct uuid *ret_id)
{
	static const char urn[] = "urn:uuid:";
	const char *s = json_string_value(value);
	size_t len = json_string_length(value);

	if (!s)
		return -EBADMSG;
	/* Stock reads these forms as well, hyphenated inside. */
	if (len == UUID_TEXT_LEN + 2 && s[0] == '{' && s[len - 1] == '}') {
		s++;
		len -= 2;
	} else if (len == UUID_TEXT_LEN + strlen(urn) && memcmp(s, urn, strlen(urn)) == 0) {
		s += strlen(urn);
		len -= strlen(urn);
	}
	return uuid_parse(s, len, ret_id) < 0 ? -EBADMSG : 0;
}

static int msg_decode_text(const json_t *value, struct msg *m)
{
	size_t len = json_string_length(value);

	/* No character is longer than what it is written as, so the text fits; it is checked all
	 * the same. */
	if (!json_is_string(value) || len > MSG_MAX)
		return -EBADMSG;
	memcpy(m->text, json_string_value(value), len);
	m->text[len] = '\0';
	m->text_len = len;
	return 0;
}

/*
 * A port as serde reads a u16. To jansson "-0" is the integer 0; serde takes it for a float. In a
 * frame that is nothing but a port, only the sign of a number is a '-'.
 */
static int msg_decode_port(const json_t *value, const char *frame, size_t len, uint16_t *ret_port)
{
	json_int_t port = json_integer_value(value);

	if (!json_is_integer(value) || port < 0 || port > UINT16_MAX || memchr(frame, '-', len))
		return -EBADMSG;
	*ret_port = (uint16_t)port;
	return 0;
}

static int msg_decode_payload(
	enum msg_payload payload, const json_t *value, const char *frame, size_t len, struct msg *m)
{
	const json_t *why;

	switch (payload) {
	case NOTHING:
		return !value || json_is_null(value) ? 0 : -EBADMSG;
	case PORT:
		return msg_decode_port(value, frame, len, &m->port);
	case TEXT:
		return msg_decode_text(value, m);
	case ID:
		return msg_decode_id(value, &m->id);
	case OPTIONS:
		return options_decode(value, &m->options);
	case REFUSE:
		why = json_object_get(value, "why");
		if (why && msg_decode_text(why, m) < 0)
			return -EBADMSG;
		return msg_decode_id(json_object_get(value, "id"), &m->id);
	case VISITOR:
		/* An address is read as a C string. */
		if (msg_decode_text(json_object_get(value, "from"), m) < 0 ||
			memchr(m->text, '\0', m->text_len))
			return -EBADMSG;
		return msg_decode_id(json_object_get(value, "id"), &m->id);
	}
	return -EBADMSG;
}

static int msg_decode_json(enum role from, const char *s, size_t len, struct msg *m)
{
	_cleanup_(msg_unref_json) json_t *root =
		json_loadb(s, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	void *member = json_object_iter(root);
	const char *name;

	/* A tag alone, or an object of one member. */
	if (json_is_string(root))
		name = json_string_value(root);
	else if (json_object_size(root) == 1)
		name = json_object_iter_key(member);
	else
		return -EBADMSG;
	for (unsigned int type = 0; type < MSG_TYPES; type++) {
		if (!(tags[type].from & 1U << from) || strcmp(name, tags[type].name) != 0)
			continue;
		m->type = type;
		return msg_decode_payload(
			tags[type].payload, json_object_iter_value(member), s, len, m);
	}
	return -EBADMSG;
}

int msg_decode(enum dialect dialect, enum role from, const uint8_t *data, size_t len,
	struct msg *ret_msg, size_t *ret_used)
{
	struct msg m = { 0 };
	size_t frame_len;
	int r = frame_find(dialect == DIALECT_LINE ? '\n' : '\0', data, len, &frame_len);

	if (r != MSG_COMPLETE)
		return r;
	if (dialect == DIALECT_LINE)
		r = line_decode(from, (const char *)data, frame_len, &m);
	else
		r = msg_decode_json(from, (const char *)data, frame_len, &m);
	if (r < 0)
		return r;
	*ret_msg = m;
	*ret_used = frame_len + 1;
	return MSG_COMPLETE;
}

/* Finishes a frame whose `len` bytes end in an open string: the message's text, then `tail`. */
static int msg_encode_text(const struct msg *m, char *frame, size_t len, const char *tail)
{
	size_t room = MSG_WIRE_MAX - strlen(tail) - len;
	size_t used = json_escape(m->text, m->text_len, frame + len, room);

	if (used < m->text_len && m->type == MSG_AUTHENTICATE)
		return -EMSGSIZE;
	len += strlen(frame + len);
	memcpy(frame + len, tail, strlen(tail) + 1);
	return (int)(len + strlen(tail));
}

/* {"tag":{"id":…,"member":text}}. Returns the frame's length, without the NUL. */
static int msg_encode_id_text(
	const struct msg *m, const char *tag, const char *member, char frame[MSG_WIRE_MAX])
{
	char id[UUID_TEXT_LEN + 1];
	int len;

	uuid_format(&m->id, id);
	len = snprintf(frame, MSG_WIRE_MAX, "{\"%s\":{\"id\":\"%s\",\"%s\":\"", tag, id, member);
	return msg_encode_text(m, frame, (size_t)len, "\"}}");
}

/* As msg_encode_id_text(). */
static int msg_encode_json(enum role from, const struct msg *m, char frame[MSG_WIRE_MAX])
{
	const struct tag *tag = &tags[m->type];
	char id[UUID_TEXT_LEN + 1], options[MSG_WIRE_MAX];
	size_t size = MSG_WIRE_MAX;

	if (!(tag->from & 1U << from))
		return -EINVAL;
	switch (tag->payload) {
	case NOTHING:
		return snprintf(frame, size, "\"%s\"", tag->name);
	case PORT:
		return snprintf(frame, size, "{\"%s\":%u}", tag->name, m->port);
	case TEXT:
		return msg_encode_text(
			m, frame, (size_t)snprintf(frame, size, "{\"%s\":\"", tag->name), "\"}");
	case ID:
		uuid_format(&m->id, id);
		return snprintf(frame, size, "{\"%s\":\"%s\"}", tag->name, id);
	case OPTIONS:
		options_format(&m->options, options, sizeof options);
		return snprintf(frame, size, "{\"%s\":%s}", tag->name, options);
	case REFUSE:
		return msg_encode_id_text(m, tag->name, "why", frame);
	case VISITOR:
		return msg_encode_id_text(m, tag->name, "from", frame);
	}
	return -EINVAL;
}

int msg_encode(enum dialect dialect, enum role from, const struct msg *msg,
	uint8_t ret_data[MSG_WIRE_MAX], size_t *ret_len)
{
	char wire[MSG_WIRE_MAX];
	size_t len;
	int r;

	assert(msg->type < MSG_TYPES && msg->text_len <= MSG_MAX);
	if (dialect == DIALECT_LINE) {
		r = line_encode(from, msg, wire, &len);
		if (r < 0)
			return r;
		wire[len] = '\n';
	} else {
		/* The string's own NUL is the end mark. */
		r = msg_encode_json(from, msg, wire);
		if (r < 0)
			return r;
		len = (size_t)r;
	}
	if (len > MSG_MAX)
		return -EMSGSIZE;
	memcpy(ret_data, wire, len + 1);
	*ret_len = len + 1;
	return 0;
}

int msg_append(enum dialect dialect, enum role from, const struct msg *msg, struct buf *out)
{
	uint8_t wire[MSG_WIRE_MAX];
	size_t len;
	int r = msg_encode(dialect, from, msg, wire, &len);

	return r < 0 ? r : buf_append(out, wire, len);
}
