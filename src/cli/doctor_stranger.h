/* SPDX-License-Identifier: MIT */
/* Who takes connections at the relay's address and doesn't speak bore, by what it answers to a
 * request in HTTP. */
#ifndef CLI_DOCTOR_STRANGER_H
#define CLI_DOCTOR_STRANGER_H

#include "cli/doctor.h"

struct ask_result;

/* `relay` is its name for people. Replaces `text` by "cause; remedy", unless the answer tells no
 * more than was known. */
void doctor_name_stranger(
	const char *relay, const struct ask_result *asked, char text[DOCTOR_TEXT_MAX]);

#endif
