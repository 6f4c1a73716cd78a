/* SPDX-License-Identifier: MIT */
/*
 * The one place where another program begins. A spawn is a list of steps between fork(2) and the
 * program's first instruction; spawn.c has them as a table, each with its reason.
 *
 * spawn_start() doesn't wait for the steps. A child that fails one of them ends, so its end is the
 * event that tells, and spawn_reap() says which step it was. A child that hangs in one is like a
 * program that hangs: the caller's deadline ends it.
 *
 * The end of a child is seen at its pidfd (pidfd_open(2)), which is readable from then on: there is
 * no SIGCHLD, and no process number that may be another one's by then.
 */
#ifndef SANDBOX_SPAWN_H
#define SANDBOX_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/filter.h"

struct cgroup_child;

#define SPAWN_STDIN "stdin"
#define SPAWN_STDOUT "stdout"
#define SPAWN_STDERR "stderr"
#define SPAWN_LISTENER "listener"
#define SPAWN_STATUS "status"
#define SPAWN_BROKER "broker"

#define SPAWN_NAMESPACES (CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define SPAWN_FDS_MAX 32
#define SPAWN_SUBJECT_MAX 256

/*
 * What a child inherits, each descriptor by its name. Its number in the child is chosen here, and
 * whatever tells the child (command line, environment) asks for it. Empty when zeroed.
 */
struct spawn_fds {
	/* By that number. Without a name, or with a negative fd, it is /dev/null for the first
	 * three, and closed for the others. */
	struct {
		const char *name;
		int fd; /* ours, borrowed; blocking or not as it is */
	} at[SPAWN_FDS_MAX];
	int end; /* behind the highest number */
};

/* Gives `fd` that name, in place of what has had it. Returns the number in the child. */
int spawn_fds_set(struct spawn_fds *fds, const char *name, int fd);

/* The number in the child; -1: nothing has that name. */
int spawn_fds_number(const struct spawn_fds *fds, const char *name);

/* What keeps the program from the machine; without namespaces where the kernel refuses them. */
struct spawn_wall {
	int file_rules; /* of file_rules_open(), borrowed */
	struct filter_options filter;
	bool no_namespaces; /* don't even try */
	uint64_t threads;   /* RLIMIT_NPROC, in a user namespace of who isn't root; 0: none */
};

struct spawn_config {
	const char *const *argv; /* argv[0] is found along our PATH; NULL at the end */
	const char *const *env;  /* K=V, NULL at the end; NULL: as ours */
	const char *dir;         /* to run in; NULL: ours */
	struct spawn_fds fds;    /* the child has no others */
	uint64_t open_files;     /* RLIMIT_NOFILE, with a wall the hard one, too; 0: as ours */
	const struct cgroup_child *cgroup; /* to begin in; NULL: ours */
	const struct spawn_wall *wall;     /* NULL: none */
};

struct spawn_child {
	pid_t pid;
	int pidfd;
	int result_fd; /* a struct spawn_failure comes here if a step fails */
};

/* Why the program has not begun. */
struct spawn_failure {
	const char *step;                /* its name in the table, never NULL */
	int error;                       /* errno */
	char subject[SPAWN_SUBJECT_MAX]; /* the program or the folder that it was about, as given */
};

enum spawn_condition {
	SPAWN_FAILED = 1, /* the child has ended in a step, and has never been the program */
};

/* 0: the child is on its way. Negative errno: there is no child, see spawn_failure_of(). */
int spawn_start(const struct spawn_config *config, struct spawn_child *ret_child);

/* To the child's whole group; not after spawn_reap(). */
void spawn_kill(const struct spawn_child *child, int signal);

/*
 * Once pidfd is readable. What the child has left in its group is killed. 0: ret_status is how the
 * program has ended, as of waitpid(2). SPAWN_FAILED: ret_failure is set as well. -EAGAIN: it still
 * runs.
 */
int spawn_reap(const struct spawn_child *child, int *ret_status, struct spawn_failure *ret_failure);

/* Closes the descriptors of a child that was reaped, and makes pid 0. */
void spawn_close(struct spawn_child *child);

/* Kills, reaps and closes a child whose end nobody could see; waits for the kernel to kill it. */
void spawn_abandon(struct spawn_child *child);

/* This process becomes the program, by the steps for the folder, the wall and the exec; all else
 * stays as the user has given it. Comes back if it fails. */
void spawn_become(const struct spawn_config *config, struct spawn_failure *ret_failure);

/* For an error `r`, a negative errno, of spawn_start() or of what the caller has for the child. */
struct spawn_failure spawn_failure_of(const struct spawn_config *config, int r);

/* One line for people: "can't start 'cargo': No such file or directory". */
void spawn_explain(const struct spawn_failure *failure, char *ret_why, size_t size);

#endif
