/* SPDX-License-Identifier: MIT */
/*
 * Files of a project, by patterns of glob(7) with {a,b}. Nothing here waits: what is no regular
 * file, or no link to one, isn't found, so that nobody opens a pipe or a device by its name.
 */
#ifndef APP_FIND_H
#define APP_FIND_H

#include <stdbool.h>
#include <stddef.h>

#define FIND_FILES_MAX 1024      /* that one pattern may have */
#define FIND_TEXT_MAX (1U << 20) /* bytes of a file that is looked into; none in a larger one */

struct app_root;

/* Paths from the folder, owned; in the order of {a,b}, and by name. */
struct found {
	char **items;
	size_t count;
};

void found_clear(struct found *found);

/* With a backslash before what glob(7) would take for a pattern; the caller frees it. NULL: no
 * memory. */
char *find_escape(const char *path);

/* Adds to *found. -E2BIG: there are too many; -errno of the folder. */
int find_files(const char *folder, const char *pattern, struct found *found);

/* Whether there is anything, file or folder. */
bool find_any(const char *folder, const char *pattern);

/* Whether the file holds the extended regular expression. */
bool find_says(const char *folder, const char *name, const char *expression);

/* The nearest folder, `folder` itself or above it, that has the first of `roots` which is to be
 * found at all. NULL: there is none, or no memory. The caller frees it. */
char *find_root(const char *folder, const struct app_root *roots);

#endif
