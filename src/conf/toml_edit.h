/* SPDX-License-Identifier: MIT */
/* Adding to a TOML document that a human has written: all else in it stays as it is, byte by byte.
 */
#ifndef CONF_TOML_EDIT_H
#define CONF_TOML_EDIT_H

#include <stddef.h>
#include <stdint.h>

struct toml_appended {
	char *text; /* with a NUL; the caller's, to be freed by secret_free(): it may hold a secret
		     */
	size_t len;
	size_t begin,
		end;   /* of `text`: what is new; between a new comma and a new line is old text */
	uint32_t line; /* in which the value stands, from 1 on */
};

/*
 * Adds a text to the end of an array of texts, and makes what isn't there of the table and the
 * array. What comes out was read again, and holds what it held before and the value. `value` is
 * printable ASCII without quotes and backslashes.
 *
 * -EINVAL: the document is no TOML, or written in a way that isn't understood here. -EEXIST: it is
 * in the array already. -ENOMEM.
 */
int toml_append(const char *text, size_t len, const char *table, const char *key, const char *value,
	struct toml_appended *ret);

#endif
