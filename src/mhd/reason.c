/* SPDX-License-Identifier: MIT */
/* Where the library isn't asked through its own symbol (linked with -Bsymbolic), replies have the
 * usual phrases. */
#include "mhd/reason.h"

#include <dlfcn.h>
#include <microhttpd.h>
#include <stddef.h>
#include <string.h>

static _Thread_local const char *next_phrase;

void mhd_reason_set(const char *phrase)
{
	next_phrase = phrase;
}

void mhd_reason_forget(const char *phrase)
{
	if (next_phrase == phrase)
		next_phrase = NULL;
}

static const char *reason_usual(unsigned code)
{
	const char *(*usual)(unsigned code);
	void *symbol = dlsym(RTLD_NEXT, "MHD_get_reason_phrase_for");

	/* A teapot's (RFC 2324) is in no table of the library's, and in everybody's memory. */
	if (code == 418)
		return "I'm a teapot";
	memcpy(&usual, &symbol, sizeof(usual));
	return usual ? usual(code) : "";
}

const char *MHD_get_reason_phrase_for(unsigned int code)
{
	const char *phrase = next_phrase;

	next_phrase = NULL;
	return phrase ? phrase : reason_usual(code);
}

/* Asked first. */
size_t MHD_get_reason_phrase_len_for(unsigned int code)
{
	return strlen(next_phrase ? next_phrase : reason_usual(code));
}
