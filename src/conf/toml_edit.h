/* SPDX-License-Identifier: MIT */
/* Adding to a TOML document that a human has written: all else in it stays as it is, byte by byte.
 */
#ifndef CONF_TOML_EDIT_H
#define CONF_TOML_EDIT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Adds a text to the end of an array of texts, and makes what isn't there of the table and the
 * array. What comes out was read again, and holds what it held before and the value. `value` is
 * printable ASCII without quotes and backslashes.
 *
 * 0: *ret_text (with a NUL) is the caller's, to be freed by secret_free(), since the file may hold
 * a secret; the value stands in *ret_line, from 1 on. -EINVAL: the document is no TOML, or written
 * in a way that isn't understood here. -EEXIST: it is in the array already. -ENOMEM.
 */
int toml_append(const char *text, size_t len, const char *table, const char *key, const char *value,
	char **ret_text, size_t *ret_len, uint32_t *ret_line);

#endif
