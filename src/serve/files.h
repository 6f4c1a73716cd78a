/* SPDX-License-Identifier: MIT */
/*
 * A folder as a web site. Nothing outside it is ever opened, whatever the path or a symbolic link
 * in it says: the kernel resolves both beneath the folder (openat2(2), RESOLVE_BENEATH).
 */
#ifndef SERVE_FILES_H
#define SERVE_FILES_H

struct serve_request;

struct files {
	int dir; /* owned */
};

/* Negative errno: -ENOTDIR and those of open(2). */
int files_open(struct files *f, const char *path);
void files_close(struct files *f);

/* A serve_fn; the owner is a struct files. */
void files_answer(void *owner, struct serve_request *request);

#endif
