/* SPDX-License-Identifier: MIT */
/*
 * The one place where a child process begins. What every child gets: a process group of its own,
 * death with the supervisor, default signals, no descriptor but those named here, and the limit of
 * open files from before we raised ours. Isolation from the machine comes here as well.
 *
 * A child is watched by its pidfd (pidfd_open(2)), which is readable once it has ended: no SIGCHLD,
 * and no process number that might be another one's.
 */
#ifndef SANDBOX_SPAWN_H
#define SANDBOX_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The numbers in the child. */
#define SPAWN_LISTEN_FD 3
#define SPAWN_STATUS_FD 4

struct spawn_config {
	const char *const *argv; /* argv[0] is found along PATH; NULL at the end */
	const char *const *env;  /* K=V, NULL at the end; NULL: as ours */
	const char *dir;         /* to run in; NULL: ours */
	int listen_fd;           /* becomes SPAWN_LISTEN_FD, blocking or not as it is; -1: none */
	bool status;             /* give it the writing end of a pipe as SPAWN_STATUS_FD */
	uint64_t open_files;     /* soft RLIMIT_NOFILE; 0: as ours */
};

struct spawn_child {
	pid_t pid;
	int pidfd;
	int out, err, status; /* the reading ends, non-blocking; status may be -1. The caller owns
				 all descriptors */
};

/* Negative errno: nothing runs; -ENOENT and -EACCES are mostly those of the program itself. */
int spawn_start(const struct spawn_config *config, struct spawn_child *ret_child);

/* To its whole group; not after spawn_reap(). */
void spawn_kill(const struct spawn_child *child, int signal);

/*
 * After pidfd is readable: how it ended, as of waitpid(2). What it has left in its group is killed.
 * -EAGAIN: it still runs.
 */
int spawn_reap(const struct spawn_child *child, int *ret_status);

#endif
