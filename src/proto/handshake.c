/* SPDX-License-Identifier: MIT */
/* The reasons why a handshake fails: their words for people, and what the relay's words mean. */
#include "proto/handshake.h"

#include <assert.h>
#include <string.h>

#include "base/lang.h"

static const char *const failure_texts[] = {
	[HANDSHAKE_OK] = "no failure",
	[HANDSHAKE_NOT_BORE] = "the server does not speak the bore protocol",
	[HANDSHAKE_WRONG_SECRET] = ERROR_WRONG_SECRET,
	[HANDSHAKE_SECRET_REQUIRED] =
		"server requires authentication, but no client secret was provided",
	[HANDSHAKE_SECRET_UNASKED] =
		"expected authentication challenge, but no secret was required",
	[HANDSHAKE_SECRET_UNFIT] =
		"the secret does not fit into the line dialect (one line of at most 251 bytes)",
	[HANDSHAKE_PORT_TAKEN] = ERROR_PORT_TAKEN,
	[HANDSHAKE_PORT_RANGE] = ERROR_PORT_RANGE,
	[HANDSHAKE_PORT_DENIED] = ERROR_PORT_FAILED,
	[HANDSHAKE_NO_PORT] = ERROR_NO_PORT,
	[HANDSHAKE_REFUSED] = "the server refused",
	[HANDSHAKE_UNEXPECTED] = "unexpected initial non-hello message",
	[HANDSHAKE_CLOSED] = "the server closed the connection before it answered",
	[HANDSHAKE_SILENT] = "timed out waiting for the server's answer",
};
static_assert(ARRAY_LEN(failure_texts) == HANDSHAKE_FAILURES, "a text per failure");

static const struct {
	const char *text;
	enum handshake_failure failure;
} errors[] = {
	{ ERROR_WRONG_SECRET, HANDSHAKE_WRONG_SECRET },
	{ ERROR_SECRET_REQUIRED, HANDSHAKE_SECRET_REQUIRED },
	{ ERROR_PORT_TAKEN, HANDSHAKE_PORT_TAKEN },
	{ ERROR_PORT_RANGE, HANDSHAKE_PORT_RANGE },
	{ ERROR_PORT_DENIED, HANDSHAKE_PORT_DENIED },
	{ ERROR_PORT_FAILED, HANDSHAKE_PORT_DENIED },
	{ ERROR_NO_PORT, HANDSHAKE_NO_PORT },
};

const char *handshake_failure_text(enum handshake_failure failure)
{
	assert(failure < HANDSHAKE_FAILURES);
	return failure_texts[failure];
}

enum handshake_failure handshake_failure_from_error(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (strcmp(text, errors[i].text) == 0)
			return errors[i].failure;
	return HANDSHAKE_REFUSED;
}
