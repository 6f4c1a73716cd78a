/* SPDX-License-Identifier: MIT */
/*
 * One option's value, from text to what stands in the caller's struct.
 */
#ifndef CONF_OPTION_VALUE_H
#define CONF_OPTION_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "conf/option.h"

#define OPTION_DURATION_TEXT_MAX 24

/*
 * Stores the value at def->offset in `values`. Negative errno: nothing was stored and ret_why says
 * why, never with the text itself.
 */
int option_value_set(
	const struct option_def *def, const char *text, void *values, char ret_why[OPTION_WHY_MAX]);

/* Wipes a secret, frees the array of a list; the value is as if it had never been set. */
void option_value_clear(const struct option_def *def, void *values);

/* The shortest text with one unit ("1h", "1500ms"). Returns ret_text. */
char *option_format_duration(uint64_t ms, char ret_text[OPTION_DURATION_TEXT_MAX]);

#endif
