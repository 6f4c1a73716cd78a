/* SPDX-License-Identifier: MIT */
/* The ways of escape.c that lead over a socket. */
#include "escape.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SO_PEERPIDFD_OF_LINUX_6_5 77

static int open_socket(int family, int type, int protocol)
{
	return (int)syscall(SYS_socket, family, type, protocol);
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
	int fd = open_socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct outcome o = to_inet(fd, words[1], words[2]);

	close(fd);
	return o;
}

/* The page's API: the file that says what the application may reach. The version is that of no
 * file. */
static struct outcome try_api(char **words)
{
	static const char body[] =
		"{\"rule\":\"*\",\"version\":\"e3b0c44298fc1c149afbf4c8996fb924\"}";
	int fd = open_socket(AF_INET, SOCK_STREAM, 0);
	struct outcome o = to_inet(fd, words[1], words[2]);
	char answer[64] = "";

	if (o.error)
		return o;
	dprintf(fd,
		"POST /api/network/allow HTTP/1.1\r\nHost: localhost:%s\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		words[2], strlen(body), body);
	o = result("read", read(fd, answer, sizeof answer - 1));
	close(fd);
	return strstr(answer, " 200 ") ? o : (struct outcome){ "api", atoi(answer + 9) };
}

static struct outcome fast_open(int fd, const char *how, const char *host, const char *port)
{
	struct sockaddr_storage to;
	struct iovec iov = { "x", 1 };
	struct mmsghdr message = { .msg_hdr = {
					   .msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1 } };
	long r;

	if (fd < 0)
		return failed("socket");
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
	return connect_by(open_socket(AF_INET, SOCK_STREAM, 0), words);
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
	int on = 1, fd = open_socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return failed("socket");
	return result("setsockopt",
		syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
}

static struct outcome try_bind(char **words)
{
	int fd = open_socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in any = { .sin_family = AF_INET };

	if (fd < 0)
		return failed("socket");
	if (strcmp(words[0], "listen") == 0)
		return result("listen", syscall(SYS_listen, fd, 8));
	return result("bind", syscall(SYS_bind, fd, &any, sizeof any));
}

/* --- other sockets --- */

static struct outcome try_socket(char **words)
{
	int fd = open_socket(atoi(words[1]), atoi(words[2]), atoi(words[3]));

	if (fd >= 0)
		close(fd);
	return result("socket", fd);
}

static struct outcome try_local(char **words)
{
	struct sockaddr_un to;
	socklen_t len = local(words[1], &to);
	int fd = open_socket(AF_UNIX, SOCK_STREAM, 0);

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
/* The supervisor by the socket that it has made: no number is needed, and no open(2). */
static struct outcome try_peer_pidfd(char **words)
{
	int pidfd = -1;
	socklen_t len = sizeof pidfd;

	if (broker < 0)
		pidfd = (int)syscall(SYS_pidfd_open, getppid(), 0);
	else if (getsockopt(broker, SOL_SOCKET, SO_PEERPIDFD_OF_LINUX_6_5, &pidfd, &len) < 0)
		return failed("getsockopt");
	if (strcmp(words[1], "signal") == 0)
		return result(
			"pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
	if (strcmp(words[1], "setns") == 0)
		return result("setns", syscall(SYS_setns, pidfd, 0x40000000 /* CLONE_NEWNET */));
	return result("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

/* What else the listener could become. */
static struct outcome try_option(char **words)
{
	int on = 1;

	return result(
		"setsockopt", setsockopt(listener, atoi(words[1]), atoi(words[2]), &on, sizeof on));
}

/*
 * Who has a socket's signals is sent them by the kernel, whoever that is; and a terminal has an
 * owner with O_ASYNC, without being told one: who works with it in front.
 */
static struct outcome try_signals_of(char **words)
{
	int on = 1, to = getppid(), pair[2];
	struct outcome o;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return failed("socketpair");
	if (strcmp(words[1], "F_SETOWN") == 0)
		o = result("fcntl", fcntl(pair[0], F_SETOWN, to));
	else if (strcmp(words[1], "FIOSETOWN") == 0)
		o = result("ioctl", ioctl(pair[0], FIOSETOWN, &to));
	else if (strcmp(words[1], "O_ASYNC") == 0)
		o = result("fcntl", fcntl(pair[0], F_SETFL, O_ASYNC));
	else
		o = result("ioctl", ioctl(pair[0], FIOASYNC, &on));
	close(pair[0]);
	close(pair[1]);
	return o;
}

const struct way net_ways[] = {
	{ "tcp", try_tcp },
	{ "api", try_api },
	{ "fast_open", try_fast_open },
	{ "visitor", try_visitor },
	{ "listener", try_listener },
	{ "fast_open_option", try_fast_open_option },
	{ "option", try_option },
	{ "bind", try_bind },
	{ "listen", try_bind },
	{ "socket", try_socket },
	{ "local", try_local },
	{ "local_pair", try_local_pair },
	{ "signals_of", try_signals_of },
	{ "peer_pidfd", try_peer_pidfd },
	{ NULL, NULL },
};
