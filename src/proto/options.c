/* SPDX-License-Identifier: MIT */
/* The Options object of the wire. Members that this version doesn't know are passed over. */
#include "proto/options.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/parse.h"

static int options_decode_bool(const json_t *value, bool *ret_flag)
{
	if (value && !json_is_boolean(value))
		return -EBADMSG;
	*ret_flag = json_is_true(value);
	return 0;
}

static int options_decode_token(const json_t *value, struct options *o)
{
	if (!value)
		return 0;
	if (!json_is_string(value) || parse_hex(json_string_value(value), json_string_length(value),
					      o->token, sizeof o->token) < 0)
		return -EBADMSG;
	o->has_token = true;
	return 0;
}

static int options_decode_beat(const json_t *value, uint32_t *ret_beat_ms)
{
	json_int_t ms;

	if (!value)
		return 0;
	if (!json_is_integer(value))
		return -EBADMSG;
	ms = json_integer_value(value);
	if (ms >= OPTIONS_BEAT_MIN_MS && ms <= OPTIONS_BEAT_MAX_MS)
		*ret_beat_ms = (uint32_t)ms;
	return 0;
}

static int options_decode_ready(const json_t *value, uint32_t *ret_ready)
{
	json_int_t n;

	if (!value)
		return 0;
	if (!json_is_integer(value))
		return -EBADMSG;
	n = json_integer_value(value);
	if (n > 0)
		*ret_ready = n > OPTIONS_READY_MAX ? OPTIONS_READY_MAX : (uint32_t)n;
	return 0;
}

static int options_decode_key(const json_t *value, struct options *o)
{
	if (!value)
		return 0;
	if (!json_is_string(value) ||
		uuid_parse(json_string_value(value), json_string_length(value), &o->key) < 0)
		return -EBADMSG;
	o->has_key = true;
	return 0;
}

int options_decode(const struct json_t *object, struct options *ret_options)
{
	struct options o = { 0 };

	if (!json_is_object(object))
		return -EBADMSG;
	if (options_decode_bool(json_object_get(object, "move"), &o.move) < 0 ||
		options_decode_bool(json_object_get(object, "resume"), &o.resume) < 0 ||
		options_decode_bool(json_object_get(object, "refuse"), &o.refuse) < 0 ||
		options_decode_bool(json_object_get(object, "visitor"), &o.visitor) < 0 ||
		options_decode_token(json_object_get(object, "token"), &o) < 0 ||
		options_decode_ready(json_object_get(object, "ready"), &o.ready) < 0 ||
		options_decode_key(json_object_get(object, "key"), &o) < 0 ||
		options_decode_beat(json_object_get(object, "beat"), &o.beat_ms) < 0)
		return -EBADMSG;
	*ret_options = o;
	return 0;
}

size_t options_format(const struct options *options, char *buf, size_t size)
{
	char token[sizeof ",\"token\":\"\"" + 2 * OPTIONS_TOKEN_LEN] = "";
	char beat[sizeof ",\"beat\":4294967295"] = "";
	char ready[sizeof ",\"ready\":4294967295"] = "";
	char key[sizeof ",\"key\":\"\"" + UUID_TEXT_LEN] = "";
	char hex[2 * OPTIONS_TOKEN_LEN + 1], id[UUID_TEXT_LEN + 1], members[224];

	if (options->has_token) {
		format_hex(options->token, sizeof options->token, hex);
		snprintf(token, sizeof token, ",\"token\":\"%s\"", hex);
	}
	if (options->beat_ms)
		snprintf(beat, sizeof beat, ",\"beat\":%u", options->beat_ms);
	if (options->ready)
		snprintf(ready, sizeof ready, ",\"ready\":%u", options->ready);
	if (options->has_key) {
		uuid_format(&options->key, id);
		snprintf(key, sizeof key, ",\"key\":\"%s\"", id);
	}
	snprintf(members, sizeof members, "%s%s%s%s%s%s%s%s",
		options->resume ? ",\"resume\":true" : "", token, beat,
		options->refuse ? ",\"refuse\":true" : "",
		options->visitor ? ",\"visitor\":true" : "", options->move ? ",\"move\":true" : "",
		ready, key);
	/* Each member brings a comma before it; the first one's is left out. */
	return (size_t)snprintf(buf, size, "{%s}", members + (members[0] == ','));
}
