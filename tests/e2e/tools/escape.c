/* SPDX-License-Identifier: MIT */
/*
 * A hostile program in an engine's place (tests/e2e/test_escape.py): visitors tell it which way out
 * to try, a line for each, and are told which system call has been the end of it, and its errno:
 * "connect 13", or "ok 0". It makes its calls by itself, so that no library that is loaded into it
 * takes them over.
 *
 * --version answers as the wasmtime command does; without a listener there is nothing to do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"

#define WORDS_MAX 8

int listener = -1, broker = -1;
static const char *cache;

static struct outcome result(const char *call, long r)
{
	return r < 0 ? failed(call) : through();
}

int take_visitor(int flags)
{
	return (int)syscall(SYS_accept4, listener, NULL, NULL, flags);
}

/* --- addresses --- */

static socklen_t inet(const char *host, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof *ret);
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		return sizeof *v4;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)atoi(port));
	return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? sizeof *v6 : 0;
}

/* A name that begins with '@' is abstract (unix(7)). */
static socklen_t local(const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret->sun_path, sizeof ret->sun_path, "%s", name);
	if (*name == '@')
		ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + (*name != '@'));
}

static struct outcome to_inet(int fd, const char *host, const char *port)
{
	struct sockaddr_storage to;
	socklen_t len = inet(host, port, &to);

	if (fd < 0)
		return failed("socket");
	/* Whether somebody is there is not the question. */
	if (syscall(SYS_connect, fd, &to, len) < 0 && errno != EINPROGRESS)
		return failed("connect");
	return through();
}

/* --- TCP --- */

static struct outcome try_tcp(char **words)
{
	int family = strchr(words[1], ':') ? AF_INET6 : AF_INET;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct outcome o = to_inet(fd, words[1], words[2]);

	close(fd);
	return o;
}

/* The page's API: the file that decides what the next build runs. */
static struct outcome try_put(char **words)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct outcome o = to_inet(fd, words[1], words[2]);
	char answer[64] = "";

	if (o.error)
		return o;
	dprintf(fd,
		"PUT /api/fs/write?path=package.json HTTP/1.1\r\nHost: localhost:%s\r\n"
		"Content-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\n{}",
		words[2]);
	o = result("read", read(fd, answer, sizeof answer - 1));
	close(fd);
	return strstr(answer, " 200 ") ? o : (struct outcome){ "put", atoi(answer + 9) };
}

static struct outcome fast_open(int fd, const char *how, const char *host, const char *port)
{
	struct sockaddr_storage to;
	struct iovec iov = { "x", 1 };
	struct mmsghdr message = { .msg_hdr = {
					   .msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1 } };
	long r;

	message.msg_hdr.msg_namelen = inet(host, port, &to);
	if (strcmp(how, "sendto") == 0)
		r = syscall(SYS_sendto, fd, "x", 1, MSG_FASTOPEN, &to, message.msg_hdr.msg_namelen);
	else if (strcmp(how, "sendmsg") == 0)
		r = syscall(SYS_sendmsg, fd, &message.msg_hdr, MSG_FASTOPEN);
	else
		r = syscall(SYS_sendmmsg, fd, &message, 1, MSG_FASTOPEN);
	return r < 0 && errno != EINPROGRESS ? failed(how) : through();
}

static struct outcome connect_by(int fd, char **words)
{
	return strcmp(words[1], "connect") == 0 ? to_inet(fd, words[2], words[3])
						: fast_open(fd, words[1], words[2], words[3]);
}

static struct outcome try_fast_open(char **words)
{
	return connect_by(socket(AF_INET, SOCK_STREAM, 0), words);
}

/* The next visitor's socket, which is one of the host's, whatever namespace this is. */
static struct outcome try_visitor(char **words)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	int fd = take_visitor(0);
	struct outcome o;

	if (fd < 0)
		return failed("accept4");
	if (syscall(SYS_connect, fd, &nobody, sizeof nobody) < 0)
		o = failed("unconnect");
	else
		o = connect_by(fd, words);
	close(fd);
	return o;
}

static struct outcome try_listener(char **words)
{
	if (shutdown(listener, SHUT_RDWR) < 0)
		return failed("shutdown");
	return connect_by(listener, words);
}

static struct outcome try_fast_open_option(char **words)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	return result("setsockopt",
		syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
}

static struct outcome try_bind(char **words)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in any = { .sin_family = AF_INET };

	if (strcmp(words[0], "listen") == 0)
		return result("listen", syscall(SYS_listen, fd, 8));
	return result("bind", syscall(SYS_bind, fd, &any, sizeof any));
}

/* --- other sockets --- */

static struct outcome try_socket(char **words)
{
	int fd = socket(atoi(words[1]), atoi(words[2]), atoi(words[3]));

	if (fd >= 0)
		close(fd);
	return result("socket", fd);
}

static struct outcome try_local(char **words)
{
	struct sockaddr_un to;
	socklen_t len = local(words[1], &to);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		return failed("socket");
	return result("connect", syscall(SYS_connect, fd, &to, len));
}

static struct outcome try_local_pair(char **words)
{
	struct sockaddr_un to;
	socklen_t len = local(words[2], &to);
	int pair[2];

	if (socketpair(AF_UNIX, atoi(words[1]), 0, pair) < 0)
		return failed("socketpair");
	return result("sendto", syscall(SYS_sendto, pair[0], "x", 1, 0, &to, len));
}

/* --- files --- */

static struct outcome try_open(char **words)
{
	int fd = open(words[1], (int)strtol(words[2], NULL, 0), 0600);

	if (fd >= 0)
		close(fd);
	return result("open", fd);
}

static struct outcome try_proc(char **words)
{
	char path[64], link[256];

	snprintf(path, sizeof path, "/proc/%d/%s", getppid(), words[1]);
	if (strcmp(words[2], "readlink") == 0)
		return result("readlink", readlink(path, link, sizeof link));
	return result("open", open(path, (int)strtol(words[2], NULL, 0)));
}

static struct outcome try_cache(char **words)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", cache, words[1]);
	return result("open", open(path, O_CREAT | O_WRONLY, 0600));
}

/* A call with the path in front of its other arguments. */
#define PATH_CALL(name, ...)                                                                  \
	static struct outcome try_##name(char **words)                                        \
	{                                                                                     \
		return result(#name, syscall(SYS_##name, AT_FDCWD, words[1], ##__VA_ARGS__)); \
	}
PATH_CALL(unlinkat, 0)
PATH_CALL(mkdirat, 0700)
PATH_CALL(fchmodat, 0777)
PATH_CALL(mknodat, S_IFIFO | 0600, 0)
PATH_CALL(renameat, AT_FDCWD, words[2])
PATH_CALL(linkat, AT_FDCWD, words[2], 0)
PATH_CALL(utimensat, NULL, 0)
PATH_CALL(openat2, &(uint64_t[3]){ O_RDONLY | O_TRUNC }, 24)

static struct outcome try_truncate(char **words)
{
	return result("truncate", truncate(words[1], 0));
}

static struct outcome try_symlink(char **words)
{
	return result("symlinkat", syscall(SYS_symlinkat, words[2], AT_FDCWD, words[1]));
}

/* --- other processes --- */

#define THEM (-1000) /* the supervisor's number */
#define TEXT(s) ((long)(intptr_t)(s))

static char bytes[256];
static struct iovec here = { bytes, sizeof bytes }, there = { (void *)8, 8 };
static struct rlimit limit;
static uint32_t bpf_array[32] = { BPF_MAP_TYPE_ARRAY, 4, 4, 1 };
static struct perf_event_attr perf = {
	.type = PERF_TYPE_SOFTWARE, .size = sizeof perf, .exclude_kernel = 1, .exclude_hv = 1
};
static struct clone_args clone_args = { .exit_signal = SIGCHLD };

static const struct {
	const char *name;
	long number, args[6];
} calls[] = {
	{ "ptrace", SYS_ptrace, { PTRACE_SEIZE, THEM, 0, 0 } },
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
	{ "setpriority", SYS_setpriority, { PRIO_PROCESS, THEM, 0 } },
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
	{ "perf", SYS_perf_event_open, { TEXT(&perf), 0, -1, -1, 0 } },
	{ "tiocsti", SYS_ioctl, { 1, TIOCSTI, TEXT("x") } },
	{ "setown", SYS_fcntl, { 1, F_SETOWN, THEM } },
	{ "dumpable", SYS_prctl, { 4, 1, 0, 0, 0 } },
	{ "fanotify", SYS_fanotify_init, { 0, 0 } },
	{ "inotify", SYS_inotify_init1, { 0 } },
	{ "chdir", SYS_chdir, { TEXT("/") } },
	{ "setsid", SYS_setsid, { 0 } },
	{ "shmget", SYS_shmget, { 1, 4096, 0 } },
	{ "nothing", 4095, { 0 } },
};

static bool find_call(const char *name, struct outcome *ret)
{
	for (size_t i = 0; i < COUNT(calls); i++) {
		long a[6];

		if (strcmp(calls[i].name, name) != 0)
			continue;
		for (size_t k = 0; k < COUNT(a); k++)
			a[k] = calls[i].args[k] == THEM ? getppid() : calls[i].args[k];
		*ret = result(name, syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));
		return true;
	}
	return false;
}

static struct outcome try_kill(char **words)
{
	return result("kill", kill(atoi(words[1]), 0));
}

static struct outcome try_fork(char **words)
{
	long pid;

	if (strcmp(words[1], "clone") == 0)
		pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	else if (strcmp(words[1], "clone3") == 0)
		pid = syscall(SYS_clone3, &clone_args, sizeof clone_args);
#ifdef SYS_fork
	else if (strcmp(words[1], "fork") == 0)
		pid = syscall(SYS_fork);
	else /* vfork(2) wants a frame that nobody returns from */
		pid = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
#else
	else
		pid = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
#endif
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

static struct outcome try_exec_memfd(char **words)
{
	int fd = memfd_create("x", 0), from = open("/proc/self/exe", O_RDONLY);
	char path[64], *argv[] = { words[0], NULL };
	long n;

	/* Without the right to read any program it may still make one. */
	while (from >= 0 && (n = read(from, bytes, sizeof bytes)) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			break;
	if (strcmp(words[1], "execveat") == 0)
		return result("execveat", syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return result("execve", execve(path, argv, NULL));
}

/* --- harm to the listener, and using things up --- */

static struct outcome try_listener_blocks(char **words)
{
	if (fcntl(listener, F_SETFL, 0) < 0)
		return failed("fcntl");
	return through();
}

static struct outcome try_shut(char **words)
{
	return result("shutdown", shutdown(listener, SHUT_RDWR));
}

static struct outcome try_end(char **words)
{
	_exit(atoi(words[1]));
}

static void *sleep_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static struct outcome try_use_up(char **words)
{
	long most = atol(words[2]), n = 0;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	if (strcmp(words[1], "descriptors") == 0)
		while (n < most && dup(1) >= 0)
			n++;
	else if (strcmp(words[1], "threads") == 0)
		while (n < most && pthread_create(&thread, &attr, sleep_for_ever, NULL) == 0)
			n++;
	else if (strcmp(words[1], "output") == 0)
		while (n < most && write(1, bytes, sizeof bytes) > 0)
			n++;
	else if (strcmp(words[1], "steps") == 0)
		while (n < most && write(atoi(words[3]), bytes, sizeof bytes) > 0)
			n++;
	else
		for (; n < most; n++) {
			char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

			if (at == MAP_FAILED)
				break;
		}
	return through();
}

/* --- the table, and its reader --- */

static const struct {
	const char *name;
	struct outcome (*try)(char **words);
} ways[] = {
	{ "tcp", try_tcp },
	{ "put", try_put },
	{ "fast_open", try_fast_open },
	{ "visitor", try_visitor },
	{ "listener", try_listener },
	{ "fast_open_option", try_fast_open_option },
	{ "bind", try_bind },
	{ "listen", try_bind },
	{ "socket", try_socket },
	{ "local", try_local },
	{ "local_pair", try_local_pair },
	{ "open", try_open },
	{ "openat2", try_openat2 },
	{ "proc", try_proc },
	{ "cache", try_cache },
	{ "truncate", try_truncate },
	{ "unlink", try_unlinkat },
	{ "mkdir", try_mkdirat },
	{ "chmod", try_fchmodat },
	{ "mknod", try_mknodat },
	{ "rename", try_renameat },
	{ "link", try_linkat },
	{ "symlink", try_symlink },
	{ "utimes", try_utimensat },
	{ "signal", try_kill },
	{ "fork", try_fork },
	{ "exec", try_exec },
	{ "exec_memfd", try_exec_memfd },
	{ "ask", try_ask },
	{ "ask_name", try_ask_name },
	{ "ask_often", try_ask_often },
	{ "ask_deaf", try_ask_deaf },
	{ "junk", try_junk },
	{ "cycles", try_cycles },
	{ "linger", try_linger },
	{ "listener_blocks", try_listener_blocks },
	{ "shut", try_shut },
	{ "end", try_end },
	{ "use_up", try_use_up },
};

static struct outcome try_way(char *line)
{
	char *words[WORDS_MAX + 1] = { 0 }, *rest = line;
	struct outcome o = { "unknown", ENOSYS };

	for (size_t i = 0; i < WORDS_MAX && (words[i] = strsep(&rest, " ")); i++)
		;
	for (size_t i = 0; i < COUNT(ways); i++)
		if (strcmp(ways[i].name, words[0]) == 0)
			return ways[i].try(words);
	(void)find_call(words[0], &o);
	return o;
}

static void serve(int fd)
{
	FILE *in = fdopen(fd, "r");
	char line[4096];

	while (in && fgets(line, sizeof line, in)) {
		line[strcspn(line, "\n")] = '\0';

		struct outcome o = try_way(line);

		dprintf(fd, "%s %d\n", o.call, o.error);
	}
	if (in)
		fclose(in);
}

static int number_of(const char *text, int otherwise)
{
	return text ? atoi(text) : otherwise;
}

int main(int argc, char **argv)
{
	int status = number_of(getenv("WASMRUN_STATUS_FD"), -1);

	listener = number_of(getenv("WASMRUN_LISTEN_FD"), -1);
	broker = number_of(getenv("WASMRUN_BROKER_FD"), -1);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--version") == 0)
			return puts("wasmtime 48.0.8") < 0;
		(void)sscanf(argv[i], "--listen-fd=%d", &listener);
		(void)sscanf(argv[i], "--status-fd=%d", &status);
		(void)sscanf(argv[i], "--broker-fd=%d", &broker);
		if (strncmp(argv[i], "--cache=", 8) == 0)
			cache = argv[i] + 8;
	}
	if (!cache)
		cache = getenv("HOME");
	if (listener < 0)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	(void)fcntl(listener, F_SETFL, 0);
	printf("status descriptor %d\n", status);
	fflush(stdout);
	(void)!write(status, "\n", 1);
	for (;;) {
		int fd = take_visitor(0);

		if (fd < 0 && errno == EINVAL)
			pause(); /* it was shut: the end comes from the supervisor */
		if (fd < 0)
			continue;
		/* Who has served somebody and ends is started again. */
		(void)!write(status, "\n", 1);
		serve(fd);
	}
}
