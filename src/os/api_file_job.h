/* SPDX-License-Identifier: MIT */
/* A request for the project's folder: a job (os/job.h), and who waits for it. */
#ifndef OS_API_FILE_JOB_H
#define OS_API_FILE_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "os/job.h"
#include "os/version.h"

struct api;
struct http_request;

/* All that it points to is its own, since it may outlive the request. It may be the first member of
 * something bigger, which its job.free frees. */
struct file_job {
	struct job job;
	struct http_request *request; /* the loop's; NULL: it was answered before the end */
	const char *root;             /* outlives the loop */
	char *path;
	void *in; /* what to write */
	size_t in_len;
	int (*serve)(struct file_job *j); /* in the thread */
	int result;                       /* negative errno */
	bool writable;                    /* the project is, from here */
	json_t *list;
	bool more; /* the folder holds more than the list */
	char *out; /* what was read, and a NUL */
	size_t out_len;
	char *if_match;            /* what may be replaced, see os/version.h */
	char version[VERSION_MAX]; /* of what was read or written */
};

/* Starts it, unless too many wait: then that is answered, and the job freed. */
void file_job_start(struct api *api, struct file_job *j);
/* What it points to. */
void file_job_deinit(struct file_job *j);

/* --- in the thread; 0 or a negative errno --- */

/* `path`, into `out`. */
int file_read(struct file_job *j);
/*
 * The old file stays until the new one is whole: nobody ever reads half of it. Its owner, group and
 * mode stay, too, else -EPERM; so it is for one that may not be written. What is no file, a link
 * among it, is -ENXIO. -ESTALE: `if_match` doesn't let it be replaced. It is looked at right
 * before; who writes between the two, past us, is not seen.
 */
int file_replace(int dir, const char *name, const void *data, size_t len, const char *if_match);

/* --- on the loop --- */

void file_reply_mistake(struct http_request *request, const char *path, int error);

#endif
