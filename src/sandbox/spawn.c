/* SPDX-License-Identifier: MIT */
/*
 * The supervisor has threads, so the child may only do what is safe in a signal's handler
 * (signal-safety(7)): another thread may have held any lock at the fork, and nobody is there to let
 * it go. The steps therefore make system calls and nothing else; what they need is prepared before.
 * execvpe() counts as one: glibc's allocates nothing, and its own posix_spawnp(3) calls it in the
 * same place.
 *
 * The child begins with all signals blocked, since a handler of ours would run in it, too. It has
 * descriptors for itself, which the exec closes: the writing end of a pipe, where it says which
 * step has failed, a pidfd of its parent, the ruleset of its wall, and its cgroup. The parent's
 * pipe therefore holds one struct spawn_failure, or nothing.
 */
#include "sandbox/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "sandbox/cgroup.h"
#include "sandbox/file_rules.h"

#define STREAMS 3           /* standard input, output and error: 0, 1, 2 */
#define OOM_SCORE_ADJ "500" /* as if it had half of the machine's memory more */
#define EXEC_FAILED 127     /* as the shell has it; nobody sees it, the pipe says more */

/* What the steps work on. */
struct spawn_run {
	const struct spawn_config *config;
	int result_fd; /* the pipe's writing end */
	int parent_fd; /* a pidfd */
	int rules_fd;  /* of the wall; -1: none */
	int cgroup_fd; /* of cgroup.procs; -1: none */
	bool apart;    /* in namespaces of its own */
};

/* 0, or a negative errno. */
typedef int spawn_step_fn(struct spawn_run *run);

static spawn_step_fn spawn_step_descriptors, spawn_step_group, spawn_step_parent,
	spawn_step_signals, spawn_step_limits, spawn_step_cgroup, spawn_step_folder,
	spawn_step_namespaces, spawn_step_threads, spawn_step_capabilities, spawn_step_file_rules,
	spawn_step_filter, spawn_step_exec;

/* In their order. A name is what can't be done with the program, or the folder, if it fails. */
static const struct spawn_step {
	const char *name;
	spawn_step_fn *run;
	bool becoming; /* taken by spawn_become() as well */
} spawn_steps[] = {
	/* First: a later step may want a descriptor by the number that it has from here on. */
	{ "give descriptors to", spawn_step_descriptors },
	/* What the child starts is ended with it: see spawn_kill(). */
	{ "make a process group for", spawn_step_group },
	/* A supervisor that was killed can't end anybody. As early as can be: a child that hangs
	 * in a step before this one would outlive us. */
	{ "bind to our own life", spawn_step_parent },
	/* What we ignore or block would stay so across the exec, and SIGTERM could not end it. */
	{ "reset the signals of", spawn_step_signals },
	/* We have raised ours for the visitors, and select(2) can't take a number above 1023. */
	{ "set the limits of", spawn_step_limits },
	/* Before it has memory that would have to be counted there. */
	{ "find room in its cgroup for", spawn_step_cgroup },
	/* Before the exec: a program with a relative name is looked up from there. */
	{ "run in the folder", spawn_step_folder, .becoming = true },
	/* From here on the wall. Without a network of its own there is nothing to reach, and
	 * without a way back nothing of the user's that Landlock doesn't know of. */
	{ "make namespaces for", spawn_step_namespaces, .becoming = true },
	/* The user namespace has a count of its own. */
	{ "limit the threads of", spawn_step_threads },
	/* Behind unshare(2), which gives all of them in the new user namespace. */
	{ "take privileges from", spawn_step_capabilities, .becoming = true },
	/* The rules' descriptor has no number in the child, hence before the filter: it closes
	 * at the exec. */
	{ "keep the files from", spawn_step_file_rules, .becoming = true },
	/* Last: it refuses most of what the steps before have done. */
	{ "filter the system calls of", spawn_step_filter, .becoming = true },
	{ "start", spawn_step_exec, .becoming = true },
};

int spawn_fds_number(const struct spawn_fds *fds, const char *name)
{
	for (int i = 0; i < fds->end; i++)
		if (fds->at[i].name && strcmp(fds->at[i].name, name) == 0)
			return i;
	return -1;
}

int spawn_fds_set(struct spawn_fds *fds, const char *name, int fd)
{
	static const char *const streams[STREAMS] = { SPAWN_STDIN, SPAWN_STDOUT, SPAWN_STDERR };
	int number = spawn_fds_number(fds, name);

	for (int i = 0; i < STREAMS && number < 0; i++)
		if (strcmp(streams[i], name) == 0)
			number = i;
	if (number < 0)
		number = fds->end < STREAMS ? STREAMS : fds->end;
	assert(number < SPAWN_FDS_MAX);
	fds->at[number].name = name;
	fds->at[number].fd = fd;
	if (fds->end <= number)
		fds->end = number + 1;
	return number;
}

/* To a number out of the way of the child's own; the old one may be overwritten then. */
static int spawn_lift(int fd, int end)
{
	int lifted = fcntl(fd, F_DUPFD_CLOEXEC, end);

	return lifted < 0 ? -errno : lifted;
}

/* Any descriptor of ours may have the number that is meant for another one: all are lifted first.
 */
static int spawn_step_descriptors(struct spawn_run *run)
{
	const struct spawn_fds *fds = &run->config->fds;
	const int end = fds->end < STREAMS ? STREAMS : fds->end;
	int *own[] = { &run->result_fd, &run->parent_fd, &run->rules_fd, &run->cgroup_fd },
	    from[SPAWN_FDS_MAX];

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		int lifted = *own[i] < 0 ? -1 : spawn_lift(*own[i], end);

		if (*own[i] >= 0 && lifted < 0)
			return lifted;
		*own[i] = lifted;
	}
	for (int i = 0; i < end; i++) {
		int fd = fds->at[i].name ? fds->at[i].fd : -1;

		if (fd < 0 && i < STREAMS)
			fd = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
		if (fd < 0 && i < STREAMS)
			return -errno;
		from[i] = fd < 0 ? -1 : spawn_lift(fd, end);
		if (fd >= 0 && from[i] < 0)
			return from[i];
	}
	for (int i = 0; i < end; i++)
		if (from[i] < 0)
			(void)close(i);
		else if (dup2(from[i], i) < 0)
			return -errno;
	/* All of ours are CLOEXEC by birth; this is for those that a library has forgotten. */
	(void)syscall(SYS_close_range, end, ~0U, CLOSE_RANGE_CLOEXEC);
	return 0;
}

static int spawn_step_group(struct spawn_run *run)
{
	return setpgid(0, 0) < 0 ? -errno : 0;
}

/*
 * The signal comes when the thread ends that has forked (prctl(2), PR_SET_PDEATHSIG), and not if it
 * has ended before. getppid(2) doesn't tell that in a pid namespace of the child's own, where it is
 * 0 in any case; the pidfd does.
 */
static int spawn_step_parent(struct spawn_run *run)
{
	struct pollfd parent = { .fd = run->parent_fd, .events = POLLIN };
	int n;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	n = poll(&parent, 1, 0);
	if (n < 0)
		return -errno;
	return n > 0 ? -ESRCH : 0;
}

static int spawn_step_signals(struct spawn_run *run)
{
	const struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &standard, NULL); /* fails for KILL and STOP */
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* Where the machine's memory ends, the kernel is to end the application before all that is the
 * user's (proc_pid_oom_score_adj(5)). To take more upon itself needs no right; less might. */
static void spawn_go_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, OOM_SCORE_ADJ, strlen(OOM_SCORE_ADJ));
	(void)close(fd);
}

/* Behind the wall the hard limits are the ones that hold: it may change its own soft ones. */
static int spawn_step_limits(struct spawn_run *run)
{
	const bool walled = run->config->wall;
	const struct rlimit none = { 0 };
	struct rlimit limit;

	/* A core has all that the application's visitors have sent. */
	if (walled && setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (walled)
		spawn_go_first();
	if (!run->config->open_files)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = min_u64(run->config->open_files, limit.rlim_max);
	if (walled)
		limit.rlim_max = limit.rlim_cur;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static int spawn_step_cgroup(struct spawn_run *run)
{
	return run->cgroup_fd >= 0 && write(run->cgroup_fd, "0", 1) < 0 ? -errno : 0;
}

static int spawn_step_folder(struct spawn_run *run)
{
	const char *dir = run->config->dir;

	return dir && chdir(dir) < 0 ? -errno : 0;
}

/* A kernel or an administrator may refuse: the filter and the file rules stand without them. */
static int spawn_step_namespaces(struct spawn_run *run)
{
	const struct spawn_wall *wall = run->config->wall;

	run->apart = wall && !wall->no_namespaces && unshare(SPAWN_NAMESPACES) == 0;
	return 0;
}

/*
 * RLIMIT_NPROC counts the threads of a user: of all that he runs, which is no measure of one
 * application's, but in a user namespace of its own (since Linux 5.14) of what is in there. It
 * never binds root, whose application a cgroup alone can limit.
 */
static int spawn_step_threads(struct spawn_run *run)
{
	const rlim_t most = run->apart ? run->config->wall->threads : 0;
	const struct rlimit limit = { most, most };

	return most && setrlimit(RLIMIT_NPROC, &limit) < 0 ? -errno : 0;
}

/* With no_new_privs an exec gives none of them back, not to root either. */
static int spawn_step_capabilities(struct spawn_run *run)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (!run->config->wall)
		return 0;
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int spawn_step_file_rules(struct spawn_run *run)
{
	return run->config->wall ? file_rules_enter(run->rules_fd) : 0;
}

static int spawn_step_filter(struct spawn_run *run)
{
	return run->config->wall ? filter_enter(run->config->wall->filter) : 0;
}

/* That what execve(2) takes is not const is history's doing alone. */
static int spawn_step_exec(struct spawn_run *run)
{
	const struct spawn_config *c = run->config;

	execvpe(c->argv[0], (char *const *)c->argv, c->env ? (char *const *)c->env : environ);
	return -errno;
}

static struct spawn_failure spawn_step_failure(
	const struct spawn_step *step, const struct spawn_config *config, int r)
{
	const char *subject = step->run == spawn_step_folder ? config->dir : config->argv[0];
	struct spawn_failure failure = { .step = step->name, .error = -r };

	memcpy(failure.subject, subject, strnlen(subject, sizeof failure.subject - 1));
	return failure;
}

/* Comes back with the step that has failed. */
static struct spawn_failure spawn_run_steps(struct spawn_run *run, bool becoming)
{
	const struct spawn_step *step = spawn_steps;
	int r = 0;

	for (;; step++) {
		if (step->becoming || !becoming)
			r = step->run(run);
		if (r < 0)
			return spawn_step_failure(step, run->config, r);
	}
}

static _Noreturn void spawn_run_child(struct spawn_run *run)
{
	const struct spawn_failure failure = spawn_run_steps(run, false);

	(void)!write(run->result_fd, &failure, sizeof failure);
	_exit(EXEC_FAILED);
}

static pid_t spawn_fork(struct spawn_run *run)
{
	sigset_t all, old;
	pid_t pid;
	int saved;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		spawn_run_child(run);
	saved = errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return pid;
}

int spawn_start(const struct spawn_config *config, struct spawn_child *ret_child)
{
	_cleanup_(fd_closep) int parent_fd = pidfd_open(getpid(), 0), read_fd = -1, write_fd = -1;
	struct spawn_run run = { .config = config,
		.parent_fd = parent_fd,
		.rules_fd = config->wall ? config->wall->file_rules : -1,
		.cgroup_fd = config->cgroup ? config->cgroup->procs : -1 };
	struct spawn_child child = { .pidfd = -1, .result_fd = -1 };
	int fds[2], r;

	if (parent_fd < 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	run.result_fd = write_fd;
	child.pid = spawn_fork(&run);
	if (child.pid < 0)
		return -errno;
	/* The child does so as well: who comes first is open, and spawn_kill() may come before it.
	 */
	(void)setpgid(child.pid, child.pid);
	child.pidfd = pidfd_open(child.pid, 0);
	if (child.pidfd < 0) {
		r = -errno;
		spawn_abandon(&child);
		return r;
	}
	child.result_fd = take_fd(&read_fd);
	*ret_child = child;
	return 0;
}

void spawn_kill(const struct spawn_child *child, int signal)
{
	/* The group's number is the child's, which isn't given away before the child is reaped. */
	(void)kill(-child->pid, signal);
}

int spawn_reap(const struct spawn_child *child, int *ret_status, struct spawn_failure *ret_failure)
{
	siginfo_t info = { 0 };
	struct spawn_failure failure;

	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return -errno;
	if (info.si_pid == 0)
		return -EAGAIN;
	spawn_kill(child, SIGKILL);
	if (waitpid(child->pid, ret_status, 0) < 0)
		return -errno;
	if (read(child->result_fd, &failure, sizeof failure) != sizeof failure)
		return 0;
	*ret_failure = failure;
	return SPAWN_FAILED;
}

void spawn_close(struct spawn_child *child)
{
	child->pidfd = fd_close(child->pidfd);
	child->result_fd = fd_close(child->result_fd);
	child->pid = 0;
}

void spawn_abandon(struct spawn_child *child)
{
	spawn_kill(child, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	spawn_close(child);
}

void spawn_become(const struct spawn_config *config, struct spawn_failure *ret_failure)
{
	struct spawn_run run = { .config = config,
		.result_fd = -1,
		.parent_fd = -1,
		.rules_fd = config->wall ? config->wall->file_rules : -1,
		.cgroup_fd = -1 };

	*ret_failure = spawn_run_steps(&run, true);
}

struct spawn_failure spawn_failure_of(const struct spawn_config *config, int r)
{
	return spawn_step_failure(&spawn_steps[ARRAY_LEN(spawn_steps) - 1], config, r);
}

void spawn_explain(const struct spawn_failure *failure, char *ret_why, size_t size)
{
	char shown[SPAWN_SUBJECT_MAX];

	log_escape(shown, sizeof shown, failure->subject, strlen(failure->subject));
	snprintf(
		ret_why, size, "can't %s '%s': %s", failure->step, shown, strerror(failure->error));
}
