/* SPDX-License-Identifier: MIT */
/*
 * A child process on the loop: its output goes to the log line by line, it may have a deadline, and
 * its end is told when all of its output has been read.
 *
 * On its status pipe (SPAWN_STATUS) it says what its exit code can't: an empty line for each step
 * that it gets on (os/instance.h), and before an end that is not the application's own doing, or
 * that wants explaining, a line that says why, for people.
 */
#ifndef OS_CHILD_H
#define OS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "app/module.h"
#include "os/log_ring.h"
#include "sandbox/spawn.h"

struct child;

#define CHILD_TERM_MS 5000  /* from SIGTERM to SIGKILL */
#define CHILD_WORDS_MAX 320 /* of the last line that is kept */

enum child_pipe {
	CHILD_OUT,
	CHILD_ERR,
	CHILD_STATUS,
	CHILD_PIPES,
};

/* A line that is being put together. */
struct child_reader {
	uv_poll_t poll;
	int fd; /* -1: the child has no such pipe */
	enum log_stream stream;
	char line[LOG_RING_LINE_MAX];
	size_t len;
};

/* Embedded in its owner, and used again after `ended`. */
struct child {
	struct spawn_child proc; /* proc.pid 0: none runs */
	struct child_reader readers[CHILD_PIPES];
	uv_poll_t exit;
	uv_timer_t timer; /* its deadline; once it is told to end, that of CHILD_TERM_MS */
	bool ending;      /* it was told to */
	unsigned handles; /* not yet closed */
	int status;       /* of waitpid(2), for `ended` */
	bool failed;      /* it has never become its program, `why` says what stood in the way */
	/* The bytes as they came: who prints them sees to the terminal. */
	char words[CHILD_WORDS_MAX]; /* the last line that is not empty and went elsewhere than to
					LOG_STREAM_STDOUT */
	size_t cause_len;            /* of `words`, the first of several causes; 0: they are none */
	char why[APP_END_MAX];       /* what stood in the way, else the last line on the status
					  pipe; "": there is neither */
	struct log_ring *ring;
	/* An empty line has come on the status pipe. May be NULL. */
	void (*step)(struct child *c);
	/* It has missed its deadline: the owner ends it. May be NULL without one. */
	void (*late)(struct child *c);
	/* All is over, and the memory may be used again. `status` as of waitpid(2). */
	void (*ended)(struct child *c, int status);
	void *owner;
};

/*
 * ring, step, late, ended, owner are set by the caller before. `out` and `err` are the streams that
 * the two go to. SPAWN_STATUS among the config's descriptors, whatever its fd, is a wish: it
 * becomes the status pipe. Whether the program could be started is not known yet when this returns:
 * if it can't, `ended` comes with `failed`. Negative errno: nothing runs, `ended` will not be
 * called, and `why` says why.
 */
int child_start(struct child *c, uv_loop_t *loop, const struct spawn_config *config,
	enum log_stream out, enum log_stream err);

bool child_runs(const struct child *c);

/* These four do nothing when none runs. From now on it has `ms` to end by itself; 0: no deadline.
 */
void child_set_deadline(struct child *c, uint64_t ms);
void child_signal(const struct child *c, int signal);
/* SIGTERM, and SIGKILL where that doesn't help. It has no other deadline from here on. */
void child_end(struct child *c);
void child_kill(struct child *c);

/* "exit code 3", "killed by signal 9 (Killed)": from waitpid(2)'s status. Returns ret_text. */
char *child_describe_end(int status, char *ret_text, size_t size);

#endif
