/* SPDX-License-Identifier: MIT */
/*
 * A folder as a web site. Nothing outside it is ever opened, whatever the path or a symbolic link
 * in it says: the kernel resolves both beneath the folder (openat2(2), RESOLVE_BENEATH).
 *
 * The folder is what stands at its path when a request comes: tools that build a site delete and
 * make it anew.
 */
#ifndef SERVE_FILES_H
#define SERVE_FILES_H

struct serve_request;

struct files {
	const char *path; /* borrowed */
};

/* Whether there is such a folder, now. Negative errno: -ENOTDIR and those of open(2). */
int files_check(const struct files *f);

/* A serve_fn; the owner is a struct files. */
void files_answer(void *owner, struct serve_request *request);

#endif
