/* SPDX-License-Identifier: MIT */
/*
 * The names in the import, export and custom sections of a module, and in the export section of a
 * component. Reads bytes that nobody has checked: it ends at what it doesn't know, and never
 * beyond `len`.
 */
#ifndef APP_NAMES_H
#define APP_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Not ended by NUL; in the bytes that are read. */
struct name {
	const char *text;
	size_t len;
};

/* `module` is empty but for imports, and for a custom section, whose name it is. */
typedef void (*name_fn)(void *arg, const struct name *module, const struct name *name);

/* `bytes` are the contents of one section. */
void names_read_imports(const uint8_t *bytes, size_t len, name_fn fn, void *arg);
void names_read_exports(const uint8_t *bytes, size_t len, name_fn fn, void *arg);
/* Once for the section itself, with an empty name, then for each value in "producers". */
void names_read_custom(const uint8_t *bytes, size_t len, name_fn fn, void *arg);
void names_read_component_exports(const uint8_t *bytes, size_t len, name_fn fn, void *arg);

#endif
