/* SPDX-License-Identifier: MIT */
/*
 * The rules are tables, read from the top: the first rule of a call whose conditions all hold
 * decides, and what no rule knows is the filter's default. They become a classic BPF program
 * (seccomp(2), Documentation/userspace-api/seccomp_filter.rst), which the kernel runs before each
 * system call. A call that is allowed whatever its arguments costs nothing: the kernel finds these
 * once and keeps them in a bitmap (since Linux 5.11).
 *
 * libseccomp is not used: it allocates, so the program would have to be made before the fork, when
 * the child's number isn't known; and in one filter it can't tell "unknown" (ENOSYS) from "not with
 * these arguments" (EACCES).
 *
 * Conditions see the lower half of an argument, because the kernel's own code takes an int there;
 * a pointer is compared whole.
 */
#include "sandbox/filter.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lang.h"

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u /* the x32 ABI has the same architecture number */
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif
/* Another machine has other numbers, and gets no further than here. */
_Static_assert(FILTER_ARCH != 0, "an architecture that this filter knows");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lower half comes first");

#define CONDS_MAX 3

enum cond_op {
	COND_NONE,
	COND_BITS, /* (argument & mask) == value */
	COND_NULL, /* a pointer that is NULL */
	COND_SELF, /* our own process */
};

struct filter_cond {
	enum cond_op op;
	unsigned arg;
	uint32_t mask, value;
};

struct filter_rule {
	int error; /* 0: allowed */
	const char *reason;
	const short *calls; /* up to CALLS_END */
	/* All of them, up to the first COND_NONE. */
	struct filter_cond conds[CONDS_MAX];
};

struct filter_table {
	const struct filter_rule *rules;
	size_t count;
};

/* clang-format off */
#define CALLS_END (-1)
#define RULE(e, why, ...) { .error = (e), .reason = (why), .calls = (const short[]){ __VA_ARGS__, CALLS_END } }
#define RULE_IF(e, why, call, ...) { .error = (e), .reason = (why), .calls = (const short[]){ (call), CALLS_END }, .conds = { __VA_ARGS__ } }
#define ALLOW(why, ...) RULE(0, why, __VA_ARGS__)
#define ALLOW_IF(why, call, ...) RULE_IF(0, why, call, __VA_ARGS__)
#define REFUSE(why, ...) RULE(EACCES, why, __VA_ARGS__)
#define REFUSE_IF(why, call, ...) RULE_IF(EACCES, why, call, __VA_ARGS__)
#define PRETEND(why, ...) RULE(ENOSYS, why, __VA_ARGS__) /* to be an older kernel */

#define BITS(n, m, v) { .op = COND_BITS, .arg = (n), .mask = (m), .value = (uint32_t)(v) }
#define IS(n, v) BITS(n, UINT32_MAX, v)
#define NONE(n) { .op = COND_NULL, .arg = (n) }
#define SELF(n) { .op = COND_SELF, .arg = (n) }
#define OPTION(l, o) IS(1, l), IS(2, o)
#define EMPTIES(n, mode) BITS(n, O_ACCMODE | O_TRUNC, (mode) | O_TRUNC)
#define STREAM(family, protocol) IS(0, family), BITS(1, TYPE_BITS, SOCK_STREAM), IS(2, protocol)

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define NEW_NAMESPACES (CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS)
#define TYPE_BITS (~(SOCK_NONBLOCK | SOCK_CLOEXEC))
#define ARCH_SET_FS 0x1002 /* asm/prctl.h, which redefines what sys/prctl.h has */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* Linux 5.17 */
#endif

static const struct filter_rule truncation_rules[] = {
	REFUSE("empties what may only be read", SYS_truncate),
	REFUSE_IF("so does O_RDONLY|O_TRUNC", SYS_openat, EMPTIES(2, O_RDONLY)),
	REFUSE_IF("Landlock takes access mode 3, open(2), for neither reading nor writing", SYS_openat, EMPTIES(2, O_ACCMODE)),
#ifdef SYS_open
	REFUSE_IF("the same as openat(2)", SYS_open, EMPTIES(1, O_RDONLY)),
	REFUSE_IF("the same as openat(2)", SYS_open, EMPTIES(1, O_ACCMODE)),
#endif
	PRETEND("its flags lie in memory", SYS_openat2),
};

static const struct filter_rule socket_rules[] = {
	ALLOW_IF("TCP that is never connected is harmless", SYS_socket, STREAM(AF_INET, 0)),
	ALLOW_IF("the same, said at length", SYS_socket, STREAM(AF_INET, IPPROTO_TCP)),
	ALLOW_IF("the same over IPv6", SYS_socket, STREAM(AF_INET6, 0)),
	ALLOW_IF("the same over IPv6", SYS_socket, STREAM(AF_INET6, IPPROTO_TCP)),
};

static const struct filter_rule seal_rules[] = {
	REFUSE("what runs stays what runs", SYS_execve, SYS_execveat),
	REFUSE("a filter may write to the kernel's log at each call", SYS_seccomp),
};

static const struct filter_rule engine_rules[] = {
	/* Those of each request come first: they have conditions, so the kernel runs the program. */
	ALLOW_IF("to whom it is connected", SYS_sendto, NONE(4), BITS(3, MSG_FASTOPEN, 0)),
	REFUSE("an address, or MSG_FASTOPEN, connects (RFC 7413)", SYS_sendto),
	ALLOW_IF("a stream takes no address without MSG_FASTOPEN", SYS_sendmsg, BITS(2, MSG_FASTOPEN, 0)),
	REFUSE("MSG_FASTOPEN connects even a listener, after shutdown(2)", SYS_sendmsg, SYS_sendmmsg),
	ALLOW_IF("whether it waits", SYS_fcntl, IS(1, F_GETFL)),
	ALLOW_IF("whether it waits; O_ASYNC signals who works at a terminal", SYS_fcntl, IS(1, F_SETFL), BITS(2, O_ASYNC, 0)),
	ALLOW_IF("whether it waits", SYS_ioctl, IS(1, FIONBIO)),
	ALLOW_IF("close on exec", SYS_fcntl, IS(1, F_GETFD)),
	ALLOW_IF("close on exec", SYS_fcntl, IS(1, F_SETFD)),
	ALLOW_IF("close on exec", SYS_ioctl, IS(1, FIOCLEX)),
	ALLOW_IF("another descriptor of the same", SYS_fcntl, IS(1, F_DUPFD)),
	ALLOW_IF("another descriptor of the same", SYS_fcntl, IS(1, F_DUPFD_CLOEXEC)),
	ALLOW_IF("Wasmtime keeps a module's first memory in a memfd", SYS_fcntl, IS(1, F_ADD_SEALS)),
	ALLOW_IF("the same", SYS_fcntl, IS(1, F_GET_SEALS)),
	REFUSE("F_SETOWN sends signals to any process of the user, who waits for a lock waits for us", SYS_fcntl),
	ALLOW_IF("how much there is to read", SYS_ioctl, IS(1, FIONREAD)),
	ALLOW_IF("isatty(3)", SYS_ioctl, IS(1, TCGETS)),
	REFUSE("TIOCSTI types into a terminal, FIOSETOWN sends signals, devices have thousands", SYS_ioctl),
	ALLOW_IF("WASI sets it before bind(2)", SYS_setsockopt, OPTION(SOL_SOCKET, SO_REUSEADDR)),
	ALLOW_IF("keepalive", SYS_setsockopt, OPTION(SOL_SOCKET, SO_KEEPALIVE)),
	ALLOW_IF("keepalive", SYS_setsockopt, OPTION(IPPROTO_TCP, TCP_KEEPIDLE)),
	ALLOW_IF("keepalive", SYS_setsockopt, OPTION(IPPROTO_TCP, TCP_KEEPINTVL)),
	ALLOW_IF("keepalive", SYS_setsockopt, OPTION(IPPROTO_TCP, TCP_KEEPCNT)),
	ALLOW_IF("a reset in place of an end", SYS_setsockopt, OPTION(SOL_SOCKET, SO_LINGER)),
	ALLOW_IF("buffers", SYS_setsockopt, OPTION(SOL_SOCKET, SO_SNDBUF)),
	ALLOW_IF("buffers", SYS_setsockopt, OPTION(SOL_SOCKET, SO_RCVBUF)),
	ALLOW_IF("deadlines", SYS_setsockopt, OPTION(SOL_SOCKET, SO_SNDTIMEO)),
	ALLOW_IF("deadlines", SYS_setsockopt, OPTION(SOL_SOCKET, SO_RCVTIMEO)),
	ALLOW_IF("when a segment goes out", SYS_setsockopt, OPTION(IPPROTO_TCP, TCP_NODELAY)),
	ALLOW_IF("when a segment goes out", SYS_setsockopt, OPTION(IPPROTO_TCP, TCP_CORK)),
	ALLOW_IF("when a segment goes out", SYS_setsockopt, OPTION(IPPROTO_TCP, TCP_QUICKACK)),
	ALLOW_IF("WASI's hop limit", SYS_setsockopt, OPTION(IPPROTO_IP, IP_TTL)),
	ALLOW_IF("WASI's hop limit", SYS_setsockopt, OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS)),
	ALLOW_IF("WASI sets it on each IPv6 socket", SYS_setsockopt, OPTION(IPPROTO_IPV6, IPV6_V6ONLY)),
	REFUSE("TCP_FASTOPEN_CONNECT, TCP_REPAIR, TCP_ULP, SO_ATTACH_FILTER, ...", SYS_setsockopt),
	REFUSE("the broker connects; after AF_UNSPEC even an accepted socket could be", SYS_connect),
	REFUSE("the broker listens", SYS_bind, SYS_listen),
	ALLOW_IF("two threads of its own", SYS_socketpair, IS(0, AF_UNIX), BITS(1, TYPE_BITS, SOCK_STREAM)),
	ALLOW_IF("it asks the broker with one", SYS_socketpair, IS(0, AF_UNIX), BITS(1, TYPE_BITS, SOCK_SEQPACKET)),
	REFUSE("one of datagrams sends to any Unix socket by its name", SYS_socketpair),
	REFUSE("every way out is a socket", SYS_socket),

	ALLOW("visitors, from the listener that it is given", SYS_accept4, SYS_accept, SYS_recvfrom, SYS_recvmsg,
		SYS_shutdown, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_sendfile, SYS_splice),
	ALLOW("waiting", SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_ppoll, SYS_pselect6, SYS_pipe2,
		SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_signalfd4, SYS_nanosleep,
		SYS_clock_nanosleep, SYS_restart_syscall),

	ALLOW("files: Landlock says which", SYS_openat, SYS_openat2, SYS_truncate, SYS_mkdirat, SYS_unlinkat,
		SYS_renameat, SYS_renameat2, SYS_linkat, SYS_symlinkat),
	ALLOW("open files", SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv,
		SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_lseek, SYS_close, SYS_close_range, SYS_dup, SYS_dup3, SYS_fsync,
		SYS_fdatasync, SYS_fallocate, SYS_ftruncate, SYS_fadvise64, SYS_copy_file_range, SYS_getdents64, SYS_fstat,
		SYS_fstatfs),
	REFUSE("what may be read can be locked: a build would wait for ever", SYS_flock),
	ALLOW("what there is: Landlock doesn't hide names, sizes and times", SYS_newfstatat, SYS_statx, SYS_faccessat,
		SYS_faccessat2, SYS_readlinkat, SYS_getcwd, SYS_umask),
	REFUSE("they reach all that is the user's: Landlock doesn't know times, modes, owners, attributes",
		SYS_utimensat, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_setxattr, SYS_lsetxattr,
		SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr),
	REFUSE("devices", SYS_mknodat),
	REFUSE("tells of files that it can't open", SYS_inotify_add_watch, SYS_fanotify_init),
	REFUSE("opens past every folder", SYS_open_by_handle_at, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot),

	ALLOW("memory; to make code and to run it is an engine's work", SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect,
		SYS_mremap, SYS_madvise, SYS_mincore, SYS_membarrier, SYS_memfd_create),
	REFUSE("holds the kernel up where it reads memory", SYS_userfaultfd),

	ALLOW_IF("a thread", SYS_clone, BITS(0, THREAD | NEW_NAMESPACES, THREAD)),
	REFUSE("no process, no namespace", SYS_clone, SYS_unshare, SYS_setns),
	PRETEND("its flags lie in memory; the C library falls back to clone(2)", SYS_clone3),
	ALLOW("threads", SYS_futex, SYS_set_robust_list, SYS_rseq, SYS_set_tid_address, SYS_sched_yield,
		SYS_sched_getaffinity, SYS_getcpu, SYS_exit, SYS_exit_group),
	ALLOW("who and where it is", SYS_gettid, SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid,
		SYS_getegid, SYS_uname, SYS_sysinfo, SYS_getrusage),
	ALLOW("time and chance", SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom),
	ALLOW("its own limits; the hard ones stand", SYS_getrlimit, SYS_setrlimit),
	ALLOW_IF("its own", SYS_prlimit64, IS(0, 0)),
	ALLOW_IF("its own", SYS_prlimit64, SELF(0)),
	REFUSE("another's", SYS_prlimit64),
	ALLOW_IF("Wasmtime compiles in the background", SYS_getpriority, IS(0, PRIO_PROCESS), IS(1, 0)),
	ALLOW_IF("the same", SYS_setpriority, IS(0, PRIO_PROCESS), IS(1, 0)),
	REFUSE("another's", SYS_getpriority, SYS_setpriority),

	ALLOW("its own signals", SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait,
		SYS_rt_sigsuspend, SYS_sigaltstack),
	ALLOW_IF("abort(3)", SYS_tgkill, SELF(0)),
	ALLOW_IF("SIGINT to itself ends wasmtime in order", SYS_kill, SELF(0)),
	REFUSE("another process", SYS_tgkill, SYS_kill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
		SYS_pidfd_open, SYS_pidfd_send_signal, SYS_pidfd_getfd, SYS_ptrace, SYS_process_vm_readv,
		SYS_process_vm_writev, SYS_process_madvise, SYS_kcmp),

	ALLOW_IF("names its threads", SYS_prctl, IS(0, PR_SET_NAME)),
	ALLOW_IF("names its threads", SYS_prctl, IS(0, PR_GET_NAME)),
	ALLOW_IF("names its memory", SYS_prctl, IS(0, PR_SET_VMA)),
	ALLOW_IF("filter_enter() of the seal", SYS_prctl, IS(0, PR_SET_NO_NEW_PRIVS)),
	REFUSE("dozens of settings, none of them a guest's", SYS_prctl),
	ALLOW_IF("the seal; a filter can only take away", SYS_seccomp, IS(0, SECCOMP_SET_MODE_FILTER), IS(1, 0)),
	REFUSE("nothing else", SYS_seccomp),
	ALLOW("its own start; what may be run is Landlock's business, until the seal", SYS_execve),
	REFUSE("a memfd is no file to Landlock", SYS_execveat),

	REFUSE("its calls come past the filter", SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register),
	REFUSE("the kernel's insides", SYS_bpf, SYS_perf_event_open),
	REFUSE("the user's keys", SYS_keyctl, SYS_add_key, SYS_request_key),

#ifdef __x86_64__
	/* The same by the calls that younger architectures don't have. */
	ALLOW_IF("a thread's own data", SYS_arch_prctl, IS(0, ARCH_SET_FS)),
	REFUSE("nothing else", SYS_arch_prctl),
	ALLOW("waiting", SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_pipe, SYS_time, SYS_pause),
	ALLOW("files: Landlock says which", SYS_open, SYS_creat, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_rename, SYS_link,
		SYS_symlink),
	ALLOW("what there is", SYS_stat, SYS_lstat, SYS_access, SYS_readlink),
	ALLOW("open files", SYS_dup2),
	REFUSE("no process", SYS_fork, SYS_vfork),
	REFUSE("Landlock doesn't know times, modes, owners", SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes,
		SYS_futimesat),
	REFUSE("devices", SYS_mknod),
#endif
};
/* clang-format on */

#define TABLE(rules)                      \
	{                                 \
		(rules), ARRAY_LEN(rules) \
	}
static const struct filter_table truncation_table = TABLE(truncation_rules);
static const struct filter_table socket_table = TABLE(socket_rules);
static const struct filter_table seal_table = TABLE(seal_rules);
static const struct filter_table engine_table = TABLE(engine_rules);

struct filter_writer {
	struct sock_filter *insns;
	size_t size, len; /* len goes on counting where there is no room */
};

static void writer_put(struct filter_writer *w, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (w->len < w->size)
		w->insns[w->len] = (struct sock_filter)BPF_JUMP(code, k, jt, jf);
	w->len++;
}

static void writer_load(struct filter_writer *w, size_t offset)
{
	writer_put(w, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void writer_return(struct filter_writer *w, int error)
{
	uint32_t action = error ? SECCOMP_RET_ERRNO | (uint32_t)error : SECCOMP_RET_ALLOW;

	writer_put(w, BPF_RET | BPF_K, action, 0, 0);
}

static size_t arg_offset(unsigned arg)
{
	return offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);
}

/* The instructions that a condition takes; each is left to the rule's end when it doesn't hold. */
static size_t cond_len(const struct filter_cond *c)
{
	return c->op == COND_NULL ? 4 : c->op == COND_BITS && c->mask != UINT32_MAX ? 3 : 2;
}

/* `rest`: what follows of the rule behind this condition. */
static void writer_cond(
	struct filter_writer *w, const struct filter_cond *c, int32_t self, size_t rest)
{
	uint32_t value = c->op == COND_SELF ? (uint32_t)self : c->op == COND_NULL ? 0 : c->value;

	if (c->op == COND_NULL) {
		writer_load(w, arg_offset(c->arg) + sizeof(uint32_t));
		writer_put(w, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint8_t)(rest + 2));
	}
	writer_load(w, arg_offset(c->arg));
	if (cond_len(c) == 3)
		writer_put(w, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
	writer_put(w, BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)rest);
}

static void writer_rule(
	struct filter_writer *w, const struct filter_rule *rule, short call, int32_t self)
{
	size_t rest = 1;

	for (size_t i = 0; i < CONDS_MAX && rule->conds[i].op; i++)
		rest += cond_len(&rule->conds[i]);
	/* The rule before may have loaded an argument. */
	writer_load(w, offsetof(struct seccomp_data, nr));
	writer_put(w, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, (uint8_t)rest);
	for (size_t i = 0; i < CONDS_MAX && rule->conds[i].op; i++) {
		rest -= cond_len(&rule->conds[i]);
		writer_cond(w, &rule->conds[i], self, rest);
	}
	writer_return(w, rule->error);
}

/* The tables of a kind, in their order, up to a NULL. */
static size_t filter_tables(
	const struct filter_options *options, const struct filter_table *ret_tables[3])
{
	size_t count = 0;

	if (options->kind == FILTER_SEAL) {
		ret_tables[count++] = &seal_table;
		return count;
	}
	if (options->refuse_truncation)
		ret_tables[count++] = &truncation_table;
	if (options->kind == FILTER_ENGINE_SOCKETS)
		ret_tables[count++] = &socket_table;
	ret_tables[count++] = &engine_table;
	return count;
}

size_t filter_write(const struct filter_options *options, struct sock_filter *insns, size_t size)
{
	const struct filter_table *tables[3];
	size_t count = filter_tables(options, tables);
	struct filter_writer w = { .insns = insns, .size = size };

	/* Another ABI has other numbers: nothing of it is known. */
	writer_load(&w, offsetof(struct seccomp_data, arch));
	writer_put(&w, BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0);
	writer_return(&w, ENOSYS);
#ifdef X32_BIT
	writer_load(&w, offsetof(struct seccomp_data, nr));
	writer_put(&w, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	writer_return(&w, ENOSYS);
#endif
	for (size_t t = 0; t < count; t++)
		for (size_t i = 0; i < tables[t]->count; i++) {
			const struct filter_rule *rule = &tables[t]->rules[i];

			for (const short *call = rule->calls; *call != CALLS_END; call++)
				writer_rule(&w, rule, *call, options->self);
		}
	writer_return(&w, options->kind == FILTER_SEAL ? 0 : ENOSYS);
	return w.len <= size ? w.len : 0;
}

int filter_probe(void)
{
	const uint32_t action = SECCOMP_RET_ERRNO;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? -errno : 0;
}

int filter_enter(struct filter_options options)
{
	struct sock_filter insns[FILTER_INSNS_MAX];
	struct sock_fprog program = { .filter = insns };

	options.self = getpid();
	program.len = (unsigned short)filter_write(&options, insns, ARRAY_LEN(insns));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
