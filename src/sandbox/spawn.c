/* SPDX-License-Identifier: MIT */
/*
 * fork(2) and execve(2). The supervisor has threads, so between the two only async-signal-safe
 * calls are made (signal-safety(7)); what the child needs is prepared before. A failure in the
 * child comes back as an errno through a pipe that a successful exec closes.
 */
#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"

#define CHILD_FDS 5     /* SPAWN_STATUS_FD is the last one */
#define EXEC_FAILED 127 /* as the shell has it; nobody sees it, the pipe says more */

/* Reading and writing ends. */
struct spawn_pipe {
	int rd, wr;
};

struct spawn_pipes {
	struct spawn_pipe out, err, status, error;
	int null;
};

static int spawn_pipe_open(struct spawn_pipe *p)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*p = (struct spawn_pipe){ .rd = fds[0], .wr = fds[1] };
	return 0;
}

static void spawn_pipe_close(struct spawn_pipe *p)
{
	p->rd = fd_close(p->rd);
	p->wr = fd_close(p->wr);
}

static void spawn_pipes_close(struct spawn_pipes *p)
{
	spawn_pipe_close(&p->out);
	spawn_pipe_close(&p->err);
	spawn_pipe_close(&p->status);
	spawn_pipe_close(&p->error);
	p->null = fd_close(p->null);
}

static int spawn_pipes_open(struct spawn_pipes *p, bool status)
{
	int r;

	p->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (p->null < 0)
		return -errno;
	r = spawn_pipe_open(&p->out);
	if (r == 0)
		r = spawn_pipe_open(&p->err);
	if (r == 0 && status)
		r = spawn_pipe_open(&p->status);
	if (r == 0)
		r = spawn_pipe_open(&p->error);
	return r;
}

/* Puts source[i] at descriptor i, and lets the exec close all others. Sources may be in each
 * other's way, so they first move above all targets. */
static int child_place_fds(const int source[CHILD_FDS])
{
	int moved[CHILD_FDS];

	for (int i = 0; i < CHILD_FDS; i++) {
		moved[i] = source[i] < 0 ? -1 : fcntl(source[i], F_DUPFD_CLOEXEC, CHILD_FDS);
		if (source[i] >= 0 && moved[i] < 0)
			return -errno;
	}
	for (int i = 0; i < CHILD_FDS; i++)
		if (moved[i] < 0)
			(void)close(i);
		else if (dup2(moved[i], i) < 0)
			return -errno;
	/* All of ours are CLOEXEC by birth; this is for those that a library has forgotten. */
	(void)syscall(SYS_close_range, CHILD_FDS, ~0U, CLOSE_RANGE_CLOEXEC);
	return 0;
}

/* Ours would stay ignored or blocked across the exec. */
static void child_reset_signals(void)
{
	const struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &standard, NULL); /* fails for KILL and STOP */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_limit_files(uint64_t open_files)
{
	struct rlimit limit;

	if (!open_files)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = min_u64(open_files, limit.rlim_max);
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static int child_exec(const struct spawn_config *c, const struct spawn_pipes *p, pid_t parent)
{
	const int fds[CHILD_FDS] = { p->null, p->out.wr, p->err.wr, c->listen_fd, p->status.wr };
	int r;

	child_reset_signals();
	if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* It may have died before the prctl. */
	if (getppid() != parent)
		return -ESRCH;
	if (c->dir && chdir(c->dir) < 0)
		return -errno;
	r = child_place_fds(fds);
	if (r == 0)
		r = child_limit_files(c->open_files);
	if (r < 0)
		return r;
	/* What execve() takes is not const for history's sake alone. */
	execvpe(c->argv[0], (char *const *)c->argv, c->env ? (char *const *)c->env : environ);
	return -errno;
}

static _Noreturn void child_main(
	const struct spawn_config *c, const struct spawn_pipes *p, pid_t parent)
{
	int error_fd = fcntl(p->error.wr, F_DUPFD_CLOEXEC, CHILD_FDS), error;

	error = error_fd < 0 ? errno : -child_exec(c, p, parent);
	(void)!write(error_fd < 0 ? p->error.wr : error_fd, &error, sizeof error);
	_exit(EXEC_FAILED);
}

/* fork() with all signals blocked: a handler of ours would run in the child, too. */
static pid_t spawn_fork(const struct spawn_config *c, const struct spawn_pipes *p)
{
	pid_t parent = getpid(), pid;
	sigset_t all, old;
	int saved;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		child_main(c, p, parent);
	saved = errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return pid;
}

/* Waits until the child has become the program or has failed to: neither takes long. */
static int spawn_await_exec(struct spawn_pipe *error)
{
	int code = 0;
	ssize_t n;

	error->wr = fd_close(error->wr);
	do
		n = read(error->rd, &code, sizeof code);
	while (n < 0 && errno == EINTR);
	return n == sizeof code ? -code : 0;
}

static int set_nonblock(int fd)
{
	return fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int spawn_start(const struct spawn_config *config, struct spawn_child *ret_child)
{
	_cleanup_(spawn_pipes_close) struct spawn_pipes pipes = {
		.out = { -1, -1 }, .err = { -1, -1 }, .status = { -1, -1 }, .error = { -1, -1 }
	};
	_cleanup_(fd_closep) int pidfd = -1;
	int r = spawn_pipes_open(&pipes, config->status);
	pid_t pid;

	if (r < 0)
		return r;
	pid = spawn_fork(config, &pipes);
	if (pid < 0)
		return -errno;
	r = spawn_await_exec(&pipes.error);
	if (r == 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (r == 0 && pidfd < 0)
		r = -errno;
	if (r == 0)
		r = set_nonblock(pipes.out.rd);
	if (r == 0)
		r = set_nonblock(pipes.err.rd);
	if (r == 0)
		r = set_nonblock(pipes.status.rd);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	*ret_child = (struct spawn_child){
		.pid = pid,
		.pidfd = take_fd(&pidfd),
		.out = take_fd(&pipes.out.rd),
		.err = take_fd(&pipes.err.rd),
		.status = take_fd(&pipes.status.rd),
	};
	return 0;
}

void spawn_kill(const struct spawn_child *child, int signal)
{
	/* The group's number is the child's, which isn't given away before the child is reaped.
	 */
	(void)kill(-child->pid, signal);
}

int spawn_reap(const struct spawn_child *child, int *ret_status)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return -errno;
	if (info.si_pid == 0)
		return -EAGAIN;
	spawn_kill(child, SIGKILL);
	return waitpid(child->pid, ret_status, 0) < 0 ? -errno : 0;
}
