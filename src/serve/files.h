/* SPDX-License-Identifier: MIT */
/*
 * A folder as a web site. Nothing outside it is ever opened, whatever the path or a symbolic link
 * in it says: the kernel resolves both beneath the folder (openat2(2), RESOLVE_BENEATH).
 *
 * What has no file is answered with the folder's fallback, else its 404.html, else a few words.
 *
 * The folder is what stands at its path when a request comes: tools that build a site delete and
 * make it anew.
 */
#ifndef SERVE_FILES_H
#define SERVE_FILES_H

#include <stddef.h>

struct field;
struct serve_request;

/* All borrowed. */
struct files {
	const char *path;           /* of the folder */
	const char *fallback;       /* in it: what is shown to who opens an address without a file
				       (navigation.h); NULL: nothing */
	const struct field *fields; /* of each answer, beside those made here */
	size_t field_count;
};

/* Whether there is such a folder, and the fallback in it, now. Negative errno: -ENOTDIR and those
 * of open(2); ret_missing is the path of what isn't there. */
int files_check(const struct files *f, const char **ret_missing);

/* A serve_fn; the owner is a struct files. */
void files_answer(void *owner, struct serve_request *request);

#endif
