/* SPDX-License-Identifier: MIT */
#include "cli/doctor_stranger.h"

#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/log.h"
#include "net/ask.h"

static const struct {
	const char *begins; /* of what it answers */
	const char *cause, *remedy;
} strangers[] = {
	{ "HTTP/1.1 426",
		"is a bore relay, which has closed the tunnel's connection without a word",
		"is it overloaded? Its log says more" },
	{ "HTTP/1.", "is a web server",
		"check the port; if it is an HTTP front before the relay, write --to http:// or "
		"https://" },
	{ "\x15\x03", "speaks TLS",
		"check the port; if it is an HTTP front before the relay, write --to https://" },
	{ "SSH-", "is an SSH server", "check the port: a relay's is 7835 as a rule" },
	{ "220", "is a mail or FTP server", "check the port: a relay's is 7835 as a rule" },
};

void doctor_name_stranger(
	const char *relay, const struct ask_result *asked, char text[DOCTOR_TEXT_MAX])
{
	char quote[128];

	/* Our relay has no words for an address from which wrong secrets came. */
	if (asked->end == ASK_CLOSED)
		(void)snprintf(text, DOCTOR_TEXT_MAX,
			"%s takes connections, and closes them without a word; if wrong secrets "
			"have come from here, check the secret and wait, 10 minutes at most; else "
			"is a bore server running there, and is it not overloaded?",
			relay);
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
		size_t len = strlen(strangers[i].begins);

		if (asked->end != ASK_ANSWERED || asked->len < len ||
			memcmp(asked->answer, strangers[i].begins, len) != 0)
			continue;
		(void)snprintf(text, DOCTOR_TEXT_MAX, "%s %s ('%s'); %s", relay, strangers[i].cause,
			log_escape(quote, sizeof(quote), asked->answer,
				strcspn(asked->answer, "\r\n")),
			strangers[i].remedy);
		break;
	}
}
