/* SPDX-License-Identifier: MIT */
/*
 * Which runs of `wasmrun os` there are on this machine. Each has a file with its address, in a
 * folder that is the user's alone: $XDG_RUNTIME_DIR/wasmrun, or else /tmp/wasmrun-UID. A run holds
 * a lock (flock(2)) on its file while it lives.
 */
#ifndef OS_RUN_FILE_H
#define OS_RUN_FILE_H

#include <stddef.h>
#include <sys/types.h>

#define RUN_LIST_MAX 256 /* of one user that are looked at */

/* One run. The texts are owned by the list, or by the caller of run_file_new(). */
struct run_entry {
	const char *project; /* absolute path of the folder or file */
	const char *url;     /* of the API, without a slash at its end */
	const char *token;   /* that the API asks for; "": none */
	pid_t pid;
};

struct run_file;

/*
 * For the run itself: its own file, until run_file_free(). Negative errno: -EPERM when the
 * folder is another user's or open to others, -EILSEQ when a text is no UTF-8, or that of a file
 * operation.
 */
int run_file_new(const struct run_entry *entry, struct run_file **ret_file);
struct run_file *run_file_free(struct run_file *file);

struct run_list {
	struct run_entry entries[RUN_LIST_MAX];
	int fds[RUN_LIST_MAX];               /* of the files */
	struct json_t *values[RUN_LIST_MAX]; /* hold the texts */
	size_t count;
};

/* Those that are alive now, in no order. Negative errno as above; no folder is no run. */
int run_list_read(struct run_list *ret_list);
void run_list_deinit(struct run_list *list);

/* A pidfd of the run's own process, never of one that has got its pid since; -ESRCH: it has
 * ended. */
int run_list_open_process(const struct run_list *list, size_t index, int *ret_pidfd);

#endif
