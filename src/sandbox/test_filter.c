/* SPDX-License-Identifier: MIT */
/*
 * Each way out, tried twice by a process of its own: without the filter, where it has to get to the
 * kernel's own answer (or a refusal would prove nothing), and behind it, with the exact errno.
 */
#include "sandbox/filter.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"
#include "sandbox/test_attempt.h"

/* What a guest is given, and a port of the host that it must not reach. */
struct stage {
	int listener;              /* its own, TCP on loopback */
	int visitor;               /* accepted from it */
	int readable;              /* a file, open for reading */
	char file[64];             /* its name */
	struct sockaddr_in secret; /* a listener of the host */
	pid_t parent;
};

static struct stage stage;

static int call_socket(int domain, int type, int protocol)
{
	int fd = socket(domain, type, protocol), r = attempt_result(fd);

	if (fd >= 0)
		close(fd);
	return r;
}

static int reach(int fd)
{
	return attempt_result(connect(fd, (struct sockaddr *)&stage.secret, sizeof stage.secret));
}

/* Linux lets a connected socket be connected anew after AF_UNSPEC. */
static int try_visitor_reconnect(void)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	int r = attempt_result(connect(stage.visitor, &none, sizeof none));

	return r < 0 ? r : reach(stage.visitor);
}

static int try_listener_reconnect(void)
{
	int r = attempt_result(shutdown(stage.listener, SHUT_RDWR));

	return r < 0 ? r : reach(stage.listener);
}

static int try_fast_open_sendto(void)
{
	(void)shutdown(stage.listener, SHUT_RDWR);
	return attempt_result(sendto(stage.listener, "x", 1, MSG_FASTOPEN,
		(struct sockaddr *)&stage.secret, sizeof stage.secret));
}

static int send_message(int fd, int flags)
{
	struct iovec bytes = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = { .msg_name = &stage.secret,
		.msg_namelen = sizeof stage.secret,
		.msg_iov = &bytes,
		.msg_iovlen = 1 };

	return attempt_result(sendmsg(fd, &message, flags));
}

static int try_fast_open_sendmsg(void)
{
	(void)shutdown(stage.listener, SHUT_RDWR);
	return send_message(stage.listener, MSG_FASTOPEN);
}

static int try_fast_open_sendmmsg(void)
{
	struct iovec bytes = { .iov_base = "x", .iov_len = 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_name = &stage.secret,
					   .msg_namelen = sizeof stage.secret,
					   .msg_iov = &bytes,
					   .msg_iovlen = 1 } };

	(void)shutdown(stage.listener, SHUT_RDWR);
	return attempt_result(sendmmsg(stage.listener, &message, 1, MSG_FASTOPEN));
}

/* Without MSG_FASTOPEN a stream ignores the address: -EPIPE where it isn't connected. */
static int try_sendmsg_address(void)
{
	(void)shutdown(stage.listener, SHUT_RDWR);
	return send_message(stage.listener, MSG_NOSIGNAL);
}

static int try_fast_open_connect(void)
{
	int on = 1;

	return attempt_result(setsockopt(
		stage.visitor, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof on));
}

static int try_tcp(void)
{
	return call_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}
static int try_tcp6(void)
{
	return call_socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
}
static int try_mptcp(void)
{
	return call_socket(AF_INET, SOCK_STREAM, 262);
}
static int try_udp(void)
{
	return call_socket(AF_INET, SOCK_DGRAM, 0);
}
static int try_unix(void)
{
	return call_socket(AF_UNIX, SOCK_STREAM, 0);
}
static int try_netlink(void)
{
	return call_socket(AF_NETLINK, SOCK_RAW, 0);
}

static int try_pair(int type)
{
	int pair[2], r = attempt_result(socketpair(AF_UNIX, type, 0, pair));

	if (r == 0) {
		close(pair[0]);
		close(pair[1]);
	}
	return r;
}

static int try_stream_pair(void)
{
	return try_pair(SOCK_STREAM | SOCK_CLOEXEC);
}
static int try_packet_pair(void)
{
	return try_pair(SOCK_SEQPACKET);
}
static int try_datagram_pair(void)
{
	return try_pair(SOCK_DGRAM);
}

static int try_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -errno : reach(fd);
}

static int try_bind(void)
{
	const struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -errno
		      : attempt_result(bind(fd, (const struct sockaddr *)&any, sizeof any));
}

static int try_listen(void)
{
	return attempt_result(listen(stage.listener, 1));
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -errno : attempt_result(waitpid(pid, NULL, 0));
}

static int try_clone_namespace(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -errno : attempt_result(waitpid((pid_t)pid, NULL, 0));
}

static int try_clone3(void)
{
	return attempt_result(syscall(SYS_clone3, NULL, 0));
}

static void *thread_main(void *unused)
{
	return unused;
}

static int try_thread(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, thread_main, NULL);

	return r ? -r : -pthread_join(thread, NULL);
}

static int try_exec(void)
{
	return attempt_result(execv("/no/such/program", (char *[]){ "x", NULL }));
}
static int try_execveat(void)
{
	return attempt_result(syscall(
		SYS_execveat, -1, "", (char *[]){ NULL }, (char *[]){ NULL }, AT_EMPTY_PATH));
}

static int try_kill_parent(void)
{
	return attempt_result(kill(stage.parent, 0));
}
static int try_tgkill_parent(void)
{
	return attempt_result(syscall(SYS_tgkill, stage.parent, stage.parent, 0));
}
static int try_tkill_parent(void)
{
	return attempt_result(syscall(SYS_tkill, stage.parent, 0));
}
static int try_kill_self(void)
{
	return attempt_result(kill(getpid(), 0));
}
static int try_tgkill_self(void)
{
	return attempt_result(syscall(SYS_tgkill, getpid(), gettid(), 0));
}
static int try_kill_group(void)
{
	return attempt_result(kill(0, 0));
}
static int try_pidfd(void)
{
	return attempt_result(syscall(SYS_pidfd_open, stage.parent, 0));
}
static int try_own_signals(void)
{
	return attempt_result(fcntl(stage.visitor, F_SETOWN, stage.parent));
}
static int try_terminal_signals(void)
{
	return attempt_result(fcntl(stage.visitor, F_SETFL, O_ASYNC));
}
static int try_flock(void)
{
	return attempt_result(flock(stage.readable, LOCK_EX | LOCK_NB));
}
static int try_notify(void)
{
	return attempt_result(syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, NULL));
}
static int try_filter(void)
{
	return attempt_result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
}
static int try_ptrace(void)
{
	return attempt_result(ptrace(PTRACE_ATTACH, 0x7ffffff0, 0, 0));
}

static int try_vm_read(void)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { &byte, 1 };

	return attempt_result(process_vm_readv(0x7ffffff0, &local, 1, &remote, 1, 0));
}

static int try_own_limit(void)
{
	struct rlimit limit;

	return attempt_result(prlimit(0, RLIMIT_NOFILE, NULL, &limit));
}

static int try_limit_of_parent(void)
{
	struct rlimit limit;

	return attempt_result(prlimit(stage.parent, RLIMIT_NOFILE, NULL, &limit));
}

static int try_own_priority(void)
{
	return attempt_result(setpriority(PRIO_PROCESS, 0, 10));
}

static int try_priority_of_group(void)
{
	return attempt_result(setpriority(PRIO_PGRP, 0, 10));
}

static int try_type_into_terminal(void)
{
	char c = 'x';

	return attempt_result(ioctl(stage.readable, TIOCSTI, &c));
}

static int try_chmod(void)
{
	return attempt_result(fchmodat(AT_FDCWD, stage.file, 0600, 0));
}
static int try_chown(void)
{
	return attempt_result(fchownat(AT_FDCWD, stage.file, (uid_t)-1, (gid_t)-1, 0));
}
static int try_times(void)
{
	return attempt_result(utimensat(AT_FDCWD, stage.file, NULL, 0));
}
/* Access mode 3 opens what Landlock would let nobody read or write. */
static int try_open_times(void)
{
	return attempt_result(futimens(open(stage.file, O_ACCMODE), NULL));
}

static int try_open(void)
{
	return attempt_result(open(stage.file, O_RDONLY));
}
static int try_truncate_open(void)
{
	return attempt_result(open(stage.file, O_RDONLY | O_TRUNC));
}
static int try_truncate_neither(void)
{
	return attempt_result(open(stage.file, O_ACCMODE | O_TRUNC));
}
static int try_truncate_write(void)
{
	return attempt_result(open(stage.file, O_WRONLY | O_TRUNC));
}
static int try_truncate(void)
{
	return attempt_result(truncate(stage.file, 0));
}
static int try_openat2(void)
{
	return attempt_result(syscall(SYS_openat2, AT_FDCWD, stage.file, NULL, 0));
}
static int try_io_uring(void)
{
	return attempt_result(syscall(SYS_io_uring_setup, 1, NULL));
}
static int try_userfaultfd(void)
{
	return attempt_result(syscall(SYS_userfaultfd, -1));
}
static int try_bpf(void)
{
	return attempt_result(syscall(SYS_bpf, -1, NULL, 0));
}
static int try_perf(void)
{
	return attempt_result(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
}
static int try_keyctl(void)
{
	return attempt_result(syscall(SYS_keyctl, -1, 0, 0, 0, 0));
}
static int try_unshare(void)
{
	return attempt_result(unshare(0));
}
static int try_setns(void)
{
	return attempt_result(setns(-1, 0));
}
static int try_mount(void)
{
	return attempt_result(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
}
static int try_handle(void)
{
	return attempt_result(syscall(SYS_open_by_handle_at, -1, NULL, 0));
}
static int try_unknown(void)
{
	return attempt_result(syscall(100000));
}
static int try_swap(void)
{
	return attempt_result(syscall(SYS_swapoff, NULL));
}
static int try_dumpable(void)
{
	return attempt_result(prctl(PR_GET_DUMPABLE));
}
static int try_name(void)
{
	return attempt_result(prctl(PR_SET_NAME, "guest"));
}

static int try_send(void)
{
	return attempt_result(send(stage.visitor, "x", 1, MSG_NOSIGNAL));
}

static int try_epoll(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), ev = eventfd(1, EFD_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN };
	int r = attempt_result(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &event));

	return r < 0 ? r : epoll_wait(ep, &event, 1, 1000) - 1;
}

static int try_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -errno
				  : attempt_result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

#if defined(__x86_64__)
/* getpid() by the gate of 32-bit programs, whose calls have other numbers. */
static int try_i386(void)
{
	int r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "cc");
	return r < 0 ? r : 0;
}
#endif

/* What is expected without a filter, and behind that of each kind: 0 or a negative errno. */
static const struct attempt {
	const char *name;
	attempt_fn *attempt;
	int bare, engine, sockets;
} attempts[] = {
	/* What an engine lives by. */
	{ "send to a visitor", try_send, 0, 0, 0 },
	{ "poll", try_epoll, 0, 0, 0 },
	{ "make code", try_code, 0, 0, 0 },
	{ "a thread", try_thread, 0, 0, 0 },
	{ "a pair of streams", try_stream_pair, 0, 0, 0 },
	{ "a pair of packets", try_packet_pair, 0, 0, 0 },
	{ "open a file", try_open, 0, 0, 0 },
	{ "its own limits", try_own_limit, 0, 0, 0 },
	{ "its own priority", try_own_priority, 0, 0, 0 },
	{ "a signal to itself", try_kill_self, 0, 0, 0 },
	{ "a signal to its own thread", try_tgkill_self, 0, 0, 0 },
	{ "name a thread", try_name, 0, 0, 0 },
	{ "times of an open file", try_open_times, 0, -EACCES, -EACCES },
	{ "its own exec", try_exec, -ENOENT, -ENOENT, -ENOENT },

	/* Sockets. */
	{ "TCP", try_tcp, 0, -EACCES, 0 },
	{ "TCP over IPv6", try_tcp6, 0, -EACCES, 0 },
	{ "MPTCP", try_mptcp, REACHED, -EACCES, -EACCES },
	{ "UDP", try_udp, 0, -EACCES, -EACCES },
	{ "a Unix socket", try_unix, 0, -EACCES, -EACCES },
	{ "netlink", try_netlink, 0, -EACCES, -EACCES },
	{ "a pair of datagrams", try_datagram_pair, 0, -EACCES, -EACCES },
	{ "connect", try_connect, 0, -EACCES, -EACCES },
	{ "bind", try_bind, 0, -EACCES, -EACCES },
	{ "listen", try_listen, 0, -EACCES, -EACCES },
	{ "the visitor, connected anew", try_visitor_reconnect, 0, -EACCES, -EACCES },
	{ "the listener, connected", try_listener_reconnect, 0, -EACCES, -EACCES },
	{ "fast open by sendto", try_fast_open_sendto, 0, -EACCES, -EACCES },
	{ "fast open by sendmsg", try_fast_open_sendmsg, 0, -EACCES, -EACCES },
	{ "fast open by sendmmsg", try_fast_open_sendmmsg, 0, -EACCES, -EACCES },
	{ "an address in a message", try_sendmsg_address, -EPIPE, -EPIPE, -EPIPE },
	{ "TCP_FASTOPEN_CONNECT", try_fast_open_connect, REACHED, -EACCES, -EACCES },

	/* Processes. */
	{ "fork", try_fork, 0, -EACCES, -EACCES },
	{ "clone into a namespace", try_clone_namespace, REACHED, -EACCES, -EACCES },
	{ "clone3", try_clone3, REACHED, -ENOSYS, -ENOSYS },
	{ "execveat", try_execveat, REACHED, -EACCES, -EACCES },
	{ "a signal to the supervisor", try_kill_parent, 0, -EACCES, -EACCES },
	{ "a signal to the supervisor's thread", try_tgkill_parent, 0, -EACCES, -EACCES },
	{ "a signal to any thread", try_tkill_parent, 0, -EACCES, -EACCES },
	{ "a signal to the group", try_kill_group, 0, -EACCES, -EACCES },
	{ "a pidfd", try_pidfd, 0, -EACCES, -EACCES },
	{ "F_SETOWN", try_own_signals, 0, -EACCES, -EACCES },
	{ "O_ASYNC", try_terminal_signals, 0, -EACCES, -EACCES },
	{ "ptrace", try_ptrace, REACHED, -EACCES, -EACCES },
	{ "another's memory", try_vm_read, REACHED, -EACCES, -EACCES },
	{ "another's limits", try_limit_of_parent, 0, -EACCES, -EACCES },
	{ "the priority of its group", try_priority_of_group, 0, -EACCES, -EACCES },
	{ "TIOCSTI", try_type_into_terminal, REACHED, -EACCES, -EACCES },

	/* What Landlock doesn't know of files. */
	{ "chmod", try_chmod, 0, -EACCES, -EACCES },
	{ "chown", try_chown, 0, -EACCES, -EACCES },
	{ "times by name", try_times, 0, -EACCES, -EACCES },
	{ "open by handle", try_handle, REACHED, -EACCES, -EACCES },
	{ "a lock", try_flock, 0, -EACCES, -EACCES },
	{ "openat2", try_openat2, REACHED, REACHED, REACHED },

	/* The kernel. */
	{ "io_uring", try_io_uring, REACHED, -EACCES, -EACCES },
	{ "userfaultfd", try_userfaultfd, REACHED, -EACCES, -EACCES },
	{ "bpf", try_bpf, REACHED, -EACCES, -EACCES },
	{ "perf", try_perf, REACHED, -EACCES, -EACCES },
	{ "keys", try_keyctl, REACHED, -EACCES, -EACCES },
	{ "unshare", try_unshare, 0, -EACCES, -EACCES },
	{ "another filter", try_filter, -EFAULT, -EFAULT, -EFAULT },
	{ "a filter that asks", try_notify, -EFAULT, -EACCES, -EACCES },
	{ "setns", try_setns, REACHED, -EACCES, -EACCES },
	{ "mount", try_mount, REACHED, -EACCES, -EACCES },
	{ "prctl", try_dumpable, 0, -EACCES, -EACCES },
	{ "a call that no table knows", try_swap, REACHED, -ENOSYS, -ENOSYS },
	{ "a call that no kernel knows", try_unknown, -ENOSYS, -ENOSYS, -ENOSYS },
#if defined(__x86_64__)
	{ "a 32-bit call", try_i386, 0, -ENOSYS, -ENOSYS },
#endif
};

static int loopback_listener(struct sockaddr_in *ret_addr)
{
	socklen_t len = sizeof *ret_addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*ret_addr = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)ret_addr, sizeof *ret_addr), 0);
	assert_int_equal(listen(fd, 100), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_addr, &len), 0);
	return fd;
}

/* What an attempt is behind. */
struct filters {
	const struct filter_options *options; /* NULL: none */
	bool sealed;
};

static int enter_filters(const void *arg)
{
	const struct filters *filters = arg;
	int r = filters->options ? filter_enter(*filters->options) : 0;

	if (r == 0 && filters->sealed)
		r = filter_enter((struct filter_options){ .kind = FILTER_SEAL });
	return r;
}

static int behind(attempt_fn *attempt, const struct filter_options *options, bool sealed)
{
	const struct filters filters = { options, sealed };
	int visitor = socket(AF_INET, SOCK_STREAM, 0), r;
	struct sockaddr_in addr;

	stage.parent = getpid();
	stage.listener = loopback_listener(&addr);
	assert_int_equal(connect(visitor, (struct sockaddr *)&addr, sizeof addr), 0);
	stage.visitor = accept(stage.listener, NULL, NULL);
	assert_true(stage.visitor >= 0);
	r = attempt_run(attempt, enter_filters, &filters);
	close(visitor);
	close(stage.visitor);
	close(stage.listener);
	return r;
}

static void test_attempts(void **state)
{
	const struct filter_options engine = { .kind = FILTER_ENGINE };
	const struct filter_options sockets = { .kind = FILTER_ENGINE_SOCKETS };

	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		const struct attempt *a = &attempts[i];

		attempt_expect(a->name, "unfiltered", behind(a->attempt, NULL, false), a->bare);
		attempt_expect(
			a->name, "in an engine", behind(a->attempt, &engine, false), a->engine);
		attempt_expect(a->name, "in an engine with sockets",
			behind(a->attempt, &sockets, false), a->sockets);
	}
}

/* Landlock below ABI 3 doesn't stop them, and stops writing. */
static void test_truncation(void **state)
{
	const struct filter_options open = { .kind = FILTER_ENGINE };
	const struct filter_options strict = { .kind = FILTER_ENGINE, .refuse_truncation = true };

	attempt_expect("truncate", "ABI 3", behind(try_truncate, &open, false), 0);
	attempt_expect("O_RDONLY|O_TRUNC", "ABI 3", behind(try_truncate_open, &open, false), 0);
	attempt_expect("3|O_TRUNC", "ABI 3", behind(try_truncate_neither, &open, false), 0);
	attempt_expect("truncate", "ABI 1", behind(try_truncate, &strict, false), -EACCES);
	attempt_expect(
		"O_RDONLY|O_TRUNC", "ABI 1", behind(try_truncate_open, &strict, false), -EACCES);
	attempt_expect("3|O_TRUNC", "ABI 1", behind(try_truncate_neither, &strict, false), -EACCES);
	attempt_expect("O_WRONLY|O_TRUNC", "ABI 1", behind(try_truncate_write, &strict, false), 0);
	attempt_expect("O_RDONLY", "ABI 1", behind(try_open, &strict, false), 0);
	attempt_expect("openat2", "ABI 1", behind(try_openat2, &strict, false), -ENOSYS);
}

static void test_seal(void **state)
{
	const struct filter_options engine = { .kind = FILTER_ENGINE };

	attempt_expect("exec", "before", behind(try_exec, &engine, false), -ENOENT);
	attempt_expect("exec", "sealed", behind(try_exec, &engine, true), -EACCES);
	attempt_expect("execveat", "sealed", behind(try_execveat, &engine, true), -EACCES);
	attempt_expect("another filter", "sealed", behind(try_filter, &engine, true), -EACCES);
	attempt_expect("a thread", "sealed", behind(try_thread, &engine, true), 0);
	attempt_expect("TCP", "sealed", behind(try_tcp, &engine, true), -EACCES);
	/* The seal alone takes nothing else away. */
	attempt_expect("TCP", "only sealed", behind(try_tcp, NULL, true), 0);
}

/* What doesn't fit is said, and nothing is written behind the end. */
static void test_size(void **state)
{
	struct sock_filter insns[FILTER_INSNS_MAX + 1];
	const struct filter_options options = { .kind = FILTER_ENGINE_SOCKETS,
		.refuse_truncation = true };
	size_t len = filter_write(&options, insns, FILTER_INSNS_MAX);

	assert_true(len > 100);
	memset(insns, 0xa5, sizeof insns);
	assert_int_equal(filter_write(&options, insns, len - 1), 0);
	assert_int_equal(insns[len - 1].code, 0xa5a5);
	assert_int_equal(filter_write(&options, insns, len), len);
}

static int setup(void **state)
{
	char name[] = "/tmp/test-filter-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		return -1;
	(void)snprintf(stage.file, sizeof stage.file, "%s", name);
	stage.readable = open(name, O_RDONLY);
	close(fd);
	(void)loopback_listener(&stage.secret);
	return 0;
}

static int teardown(void **state)
{
	return unlink(stage.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
