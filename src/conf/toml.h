/* SPDX-License-Identifier: MIT */
/*
 * TOML 1.0 documents as flat lists of entries: toml++ behind a C interface. A file belongs to a
 * project, which may come from anywhere, so its size and its depth are bounded.
 */
#ifndef CONF_TOML_H
#define CONF_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOML_WHY_MAX 256  /* an explanation and its NUL */
#define TOML_DEPTH_MAX 8  /* tables in tables; what is deeper is one entry without a text */
#define TOML_DOTS_MAX 256 /* in a line: each of a dotted key's is a table in a table */

/* A value: one entry for each element of an array. */
struct toml_entry {
	const char *key; /* "table.key" */
	char *text; /* writable, to be wiped; as one would type it; NULL: of a type that no option
		       has */
	size_t len; /* of the text, which may hold a NUL */
	uint32_t line, column; /* from 1 on; characters of UTF-8 */
	bool element;          /* of an array */
};

struct toml_file;

/*
 * -EINVAL: it is no TOML; *ret_line is where, ret_why says why. -ENOMEM. The entries live as long
 * as the file, in no particular order but for the elements of an array.
 */
int toml_file_parse(const char *text, size_t len, struct toml_file **ret_file, uint32_t *ret_line,
	char ret_why[TOML_WHY_MAX]);
struct toml_file *toml_file_free(struct toml_file *file);

size_t toml_file_count(const struct toml_file *file);
const struct toml_entry *toml_file_entry(const struct toml_file *file, size_t index);

/* Where the entry stands whose `text` this is: that very pointer, which options keep. 0: it is none
 * of the file's; `file` may be NULL. */
uint32_t toml_file_line(const struct toml_file *file, const char *text);

#ifdef __cplusplus
}
#endif

#endif
