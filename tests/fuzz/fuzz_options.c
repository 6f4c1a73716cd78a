/* SPDX-License-Identifier: MIT */
/* The Options object: what was read must be written, and read back as the same. */
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "fuzz.h"
#include "proto/options.h"

static int decode(const char *text, size_t len, struct options *ret_options)
{
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	int r = options_decode(object, ret_options);

	json_decref(object);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options options, back;
	char text[256];
	size_t len;
	int r;

	if (decode((const char *)data, size, &options) < 0)
		return 0;
	assert(!options.beat_ms ||
		(options.beat_ms >= OPTIONS_BEAT_MIN_MS && options.beat_ms <= OPTIONS_BEAT_MAX_MS));
	len = options_format(&options, text, sizeof text);
	assert(len < sizeof text && len == strlen(text));
	r = decode(text, len, &back);
	assert(r == 0);
	assert(options.resume == back.resume && options.has_token == back.has_token &&
		memcmp(options.token, back.token, sizeof back.token) == 0 &&
		options.beat_ms == back.beat_ms && options.refuse == back.refuse &&
		options.visitor == back.visitor);
	return 0;
}
