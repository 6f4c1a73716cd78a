/* SPDX-License-Identifier: MIT */
/* The ways of escape.c that lead to another process, to another program, or into the kernel. */
#include "escape.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- other processes --- */

#define THEM (-1000) /* the supervisor's number */
#define SAME (-1001) /* our nice value and the supervisor's: a lower one is for the privileged */
#define TEXT(s) ((long)(intptr_t)(s))

static char bytes[256];
static struct iovec here = { bytes, sizeof bytes }, there = { (void *)8, 8 };
static struct rlimit limit;
static uint32_t bpf_array[32] = { BPF_MAP_TYPE_ARRAY, 4, 4, 1 };
static struct clone_args clone_args = { .exit_signal = SIGCHLD };

static const struct {
	const char *name;
	long number, args[6];
} calls[] = {
	{ "process_vm_readv", SYS_process_vm_readv, { THEM, TEXT(&here), 1, TEXT(&there), 1, 0 } },
	{ "process_vm_writev", SYS_process_vm_writev,
		{ THEM, TEXT(&here), 1, TEXT(&there), 1, 0 } },
	{ "pidfd_open", SYS_pidfd_open, { THEM, 0 } },
	{ "pidfd_getfd", SYS_pidfd_getfd, { -1, 0, 0 } },
	{ "pidfd_send_signal", SYS_pidfd_send_signal, { -1, 0, 0, 0 } },
	{ "kcmp", SYS_kcmp, { THEM, THEM, 1, 0, 0 } },
	{ "kill", SYS_kill, { THEM, 0 } },
	{ "kill_all", SYS_kill, { -1, 0 } },
	{ "kill_group", SYS_kill, { 0, 0 } },
	{ "tgkill", SYS_tgkill, { THEM, THEM, 0 } },
	{ "tkill", SYS_tkill, { THEM, 0 } },
	{ "sigqueue", SYS_rt_sigqueueinfo, { THEM, 0, TEXT(bytes) } },
	{ "prlimit", SYS_prlimit64, { THEM, RLIMIT_NOFILE, 0, TEXT(&limit) } },
	{ "setpriority", SYS_setpriority, { PRIO_PROCESS, THEM, SAME } },
	{ "unshare_user", SYS_unshare, { CLONE_NEWUSER } },
	{ "unshare_mount", SYS_unshare, { CLONE_NEWNS } },
	{ "setns", SYS_setns, { -1, 0 } },
	{ "mount", SYS_mount, { TEXT("none"), TEXT("/nowhere"), TEXT("tmpfs"), 0, 0 } },
	{ "umount", SYS_umount2, { TEXT("/nowhere"), 0 } },
	{ "pivot_root", SYS_pivot_root, { TEXT("/nowhere"), TEXT("/nowhere") } },
	{ "chroot", SYS_chroot, { TEXT("/nowhere") } },
	{ "open_by_handle", SYS_open_by_handle_at, { -1, TEXT(bytes), 0 } },
	{ "io_uring_setup", SYS_io_uring_setup, { 1, TEXT(bytes) } },
	{ "io_uring_enter", SYS_io_uring_enter, { -1, 0, 0, 0, 0, 0 } },
	{ "bpf", SYS_bpf, { BPF_MAP_CREATE, TEXT(bpf_array), sizeof bpf_array } },
	{ "userfaultfd", SYS_userfaultfd, { O_CLOEXEC | 1 } },
	{ "keyctl", SYS_keyctl, { 0, -3, 0, 0, 0 } },
	{ "add_key", SYS_add_key, { TEXT("user"), TEXT("x"), TEXT("x"), 1, -1 } },
	{ "request_key", SYS_request_key, { TEXT("user"), TEXT("x"), 0, -1 } },
	{ "perf", SYS_perf_event_open, { 0, 0, -1, -1, -1 } },
	{ "tiocsti", SYS_ioctl, { 1, TIOCSTI, TEXT("x") } },
	{ "pipe_size", SYS_fcntl, { 1, F_SETPIPE_SZ, 1 << 20 } },
	{ "dumpable", SYS_prctl, { PR_SET_DUMPABLE, 1, 0, 0, 0 } },
	{ "pdeathsig", SYS_prctl, { PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0 } },
	{ "subreaper", SYS_prctl, { PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0 } },
	{ "ptracer", SYS_prctl, { PR_SET_PTRACER, -1, 0, 0, 0 } },
	{ "notify", SYS_seccomp, { 1 /* FILTER */, 8 /* NEW_LISTENER */, 0 } },
	{ "strict", SYS_seccomp, { 0, -1, 0 } },
	{ "sched_setparam", SYS_sched_setparam, { THEM, TEXT(bytes) } },
	{ "sched_setaffinity", SYS_sched_setaffinity, { THEM, 0, TEXT(bytes) } },
	{ "ioprio", SYS_ioprio_set, { 1, THEM, 2 << 13 | 4 } },
	{ "tee", SYS_tee, { -1, -1, 1, 0 } },
	{ "vmsplice", SYS_vmsplice, { -1, TEXT(&here), 1, 0 } },
	{ "timer", SYS_timer_create, { 1, 0, TEXT(bytes) } },
	{ "mq_open", SYS_mq_open, { TEXT("wasmrun-escape"), 0, 0, 0 } },
	{ "semget", SYS_semget, { 1, 1, 0 } },
	{ "msgget", SYS_msgget, { 1, 0 } },
	{ "personality", SYS_personality, { 0xffffffff } },
	{ "syslog", SYS_syslog, { 10, 0, 0 } },
	{ "sethostname", SYS_sethostname, { TEXT("x"), -1 } },
	{ "reboot", SYS_reboot, { 0, 0, 0, 0 } },
	{ "swapon", SYS_swapon, { 0, -1 } },
	{ "settimeofday", SYS_settimeofday, { 0, -1 } },
	{ "file_handle", SYS_name_to_handle_at, { AT_FDCWD, TEXT("/"), 0, 0, 0 } },
	{ "statfs", SYS_statfs, { TEXT("/"), TEXT(bytes) } },
	{ "fanotify", SYS_fanotify_init, { 0, 0 } },
	{ "inotify", SYS_inotify_init1, { 0 } },
	{ "chdir", SYS_chdir, { TEXT("/") } },
	{ "setsid", SYS_setsid, { 0 } },
	{ "shmget", SYS_shmget, { 1, 4096, 0 } },
};

static long meant(long arg)
{
	switch (arg) {
	case THEM:
		return getppid();
	case SAME:
		return getpriority(PRIO_PROCESS, 0);
	default:
		return arg;
	}
}

bool try_call(const char *name, struct outcome *ret)
{
	for (size_t i = 0; i < COUNT(calls); i++) {
		long a[6];

		if (strcmp(calls[i].name, name) != 0)
			continue;
		for (size_t k = 0; k < COUNT(a); k++)
			a[k] = meant(calls[i].args[k]);
		*ret = result(name, syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));
		return true;
	}
	return false;
}

/* Let go of at once: it would stop at its next signal, and nobody could reap it. */
static struct outcome try_ptrace(char **words)
{
	if (ptrace(PTRACE_SEIZE, getppid(), 0, 0) < 0)
		return failed("ptrace");
	if (ptrace(PTRACE_INTERRUPT, getppid(), 0, 0) < 0 || waitpid(getppid(), NULL, __WALL) < 0)
		return failed("interrupt");
	return result("detach", ptrace(PTRACE_DETACH, getppid(), 0, 0));
}

static struct outcome try_kill(char **words)
{
	return result("kill", kill(atoi(words[1]), 0));
}

#define NEW_THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

/* What clone(2) makes beside a process of its own; a thread in a namespace of its own is none. */
static const struct {
	const char *name;
	unsigned long flags;
} clones[] = {
	{ "clone", SIGCHLD },
	{ "clone_vfork", CLONE_VFORK | SIGCHLD },
	{ "clone_untraced", CLONE_UNTRACED | SIGCHLD },
	{ "clone_ptrace", CLONE_PTRACE | SIGCHLD },
	{ "clone_files", CLONE_FILES | CLONE_FS | SIGCHLD },
	{ "clone_user", CLONE_NEWUSER | SIGCHLD },
	{ "clone_thread_user", NEW_THREAD | CLONE_NEWUSER },
	{ "clone_parent", CLONE_PARENT | SIGCHLD },
};

static struct outcome try_fork(char **words)
{
	long pid = -1;

	errno = ENOSYS;
	if (strcmp(words[1], "vfork") == 0) {
		/* It is what is tried: NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork) */
		pid = vfork();
		/* At once: the child runs on our stack. */
		if (pid == 0)
			_exit(0);
	} else if (strcmp(words[1], "clone3") == 0)
		pid = syscall(SYS_clone3, &clone_args, sizeof clone_args);
#ifdef SYS_fork
	else if (strcmp(words[1], "fork") == 0)
		pid = syscall(SYS_fork);
#endif
	for (size_t i = 0; i < COUNT(clones); i++)
		if (strcmp(clones[i].name, words[1]) == 0)
			pid = syscall(SYS_clone, clones[i].flags, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return result("fork", pid);
}

/* Who gets through is another program from then on, and answers nobody. */
static struct outcome try_exec(char **words)
{
	char *argv[] = { words[1], NULL };

	return result("execve", execve(words[1], argv, NULL));
}

/* The loader may be executed, as the engine needs it, and becomes any program that it can read. */
static struct outcome try_exec_by_loader(char **words)
{
	char *argv[64] = { words[1], words[2] };

	for (size_t i = 1; arguments[i] && i + 2 < COUNT(argv); i++)
		argv[i + 1] = arguments[i];
	return result("execve", execve(words[1], argv, environ));
}

/* A program that is in no folder: of words[2], by words[1]. */
static struct outcome try_exec_memfd(char **words)
{
	int fd = memfd_create("x", 0), from = open(words[2], O_RDONLY);
	char path[64], *argv[] = { words[0], NULL };
	long n;

	if (from < 0)
		return failed("open");
	while ((n = read(from, bytes, sizeof bytes)) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			break;
	if (strcmp(words[1], "execveat") == 0)
		return result("execveat", syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return result("execve", execve(path, argv, NULL));
}

/* getpid(2) by the gate of 32-bit programs, whose calls have other numbers. */
static struct outcome try_i386(char **words)
{
#ifdef __x86_64__
	int r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "cc");
	errno = r < 0 ? -r : 0;
	return result("i386", r < 0 ? -1 : 0);
#else
	return (struct outcome){ "i386", ENOSYS };
#endif
}

const struct way process_ways[] = {
	{ "ptrace", try_ptrace },
	{ "signal", try_kill },
	{ "fork", try_fork },
	{ "exec", try_exec },
	{ "exec_by_loader", try_exec_by_loader },
	{ "exec_memfd", try_exec_memfd },
	{ "i386", try_i386 },
	{ NULL, NULL },
};
