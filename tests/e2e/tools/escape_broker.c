/* SPDX-License-Identifier: MIT */
/* The ways of escape.c that lead by the broker, and what it is never to be sent. */
#include "escape.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/broker_wire.h"

static char bytes[256];

static void send_request(int to, const void *data, size_t size, const int *fds, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)data, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(count * sizeof *fds) };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof *fds);
	}
	while (sendmsg(to, &message, MSG_NOSIGNAL) < 0 && (errno == EAGAIN || errno == EINTR))
		;
}

static struct broker_request request_for(const char *host, const char *port)
{
	struct broker_request r = { .op = BROKER_CONNECT,
		.port = (uint16_t)atoi(port),
		.addr.family = strchr(host, ':') ? BROKER_IPV6 : BROKER_IPV4 };

	inet_pton(strchr(host, ':') ? AF_INET6 : AF_INET, host, r.addr.bytes);
	return r;
}

static struct broker_request resolve_of(const char *name)
{
	struct broker_request r = { .op = BROKER_RESOLVE };

	snprintf(r.name, sizeof r.name, "%s", name);
	return r;
}

static struct outcome ask(const struct broker_request *request, struct broker_answer *answer)
{
	int pair[2];
	long n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return failed("socketpair");
	send_request(broker, request, sizeof *request, &pair[1], 1);
	close(pair[1]);
	n = recv(pair[0], answer, sizeof *answer, 0);
	close(pair[0]);
	if (n != sizeof *answer)
		return (struct outcome){ "unanswered", 0 };
	return answer->error ? (struct outcome){ "broker", answer->error } : through();
}

static struct outcome try_ask(char **words)
{
	struct broker_request r = request_for(words[1], words[2]);
	struct broker_answer answer;

	return ask(&r, &answer);
}

/* By the address that the name has been given. */
static struct outcome try_ask_name(char **words)
{
	struct broker_request r = resolve_of(words[1]);
	struct broker_answer answer;
	struct outcome o = ask(&r, &answer);

	if (o.error)
		return (struct outcome){ "resolve", o.error };
	r = (struct broker_request){
		.op = BROKER_CONNECT, .port = (uint16_t)atoi(words[2]), .addr = answer.addrs[0]
	};
	return ask(&r, &answer);
}

static struct outcome try_ask_listen(char **words)
{
	struct broker_request r = {
		.op = BROKER_LISTEN, .port = (uint16_t)atoi(words[1]), .addr.family = BROKER_IPV4
	};
	struct broker_answer answer;

	return ask(&r, &answer);
}

static struct outcome try_ask_datagrams(char **words)
{
	struct broker_request r = { .op = BROKER_DATAGRAMS, .addr.family = BROKER_IPV4 };
	struct broker_answer answer;

	return ask(&r, &answer);
}

static struct outcome try_ask_often(char **words)
{
	struct broker_answer answer;
	struct outcome o = through();

	for (int i = 0; i < atoi(words[1]); i++) {
		char name[64];

		snprintf(name, sizeof name, "n%d.%s", i, words[2]);
		struct broker_request r = resolve_of(name);

		o = ask(&r, &answer);
	}
	return o;
}

bool ask_deaf(const char *host, const char *port)
{
	struct broker_request r = request_for(host, port);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return false;
	send_request(broker, &r, sizeof r, &pair[1], 1);
	close(pair[1]);
	close(pair[0]);
	return true;
}

bool hold_connection(const char *host, const char *port)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct broker_request r = request_for(host, port);
	struct broker_answer answer;
	struct iovec iov = { &answer, sizeof answer };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };
	int pair[2];
	long n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return false;
	send_request(broker, &r, sizeof r, &pair[1], 1);
	close(pair[1]);
	n = recvmsg(pair[0], &message, 0);
	close(pair[0]);
	return n == sizeof answer && answer.error == 0 && CMSG_FIRSTHDR(&message);
}

/* Requests whose answers nobody takes, more than are served at a time. */
static struct outcome try_ask_deaf(char **words)
{
	for (int i = 0; i < atoi(words[1]); i++)
		if (!ask_deaf(words[2], words[3]))
			return failed("socketpair");
	return through();
}

/* What no client sends; the instance is ended for it. */
static struct outcome try_junk(char **words)
{
	struct broker_request r = request_for("127.0.0.1", "1");
	int seqpacket[2], stream[2], pipes[2], epoll = epoll_create1(0),
					       memory = memfd_create("x", 0);
	int file = open("/proc/self/exe", O_RDONLY);
	char longer[sizeof r + 1] = { BROKER_CONNECT };

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seqpacket) < 0 ||
		socketpair(AF_UNIX, SOCK_STREAM, 0, stream) < 0 || pipe(pipes) < 0)
		return failed("pair");
	const struct {
		const char *name;
		const void *data;
		size_t size;
		int fds[2];
		size_t count;
	} kinds[] = {
		{ "empty", "", 0, { 0 }, 0 },
		{ "short", &r, 1, { seqpacket[1] }, 1 },
		{ "long", longer, sizeof longer, { seqpacket[1] }, 1 },
		{ "alone", &r, sizeof r, { 0 }, 0 },
		{ "two", &r, sizeof r, { seqpacket[0], seqpacket[1] }, 2 },
		{ "epoll", &r, sizeof r, { epoll }, 1 },
		{ "memfd", &r, sizeof r, { memory }, 1 },
		{ "stream", &r, sizeof r, { stream[1] }, 1 },
		{ "pipe", &r, sizeof r, { pipes[1] }, 1 },
		{ "listener", &r, sizeof r, { listener }, 1 },
		{ "broker", &r, sizeof r, { broker }, 1 },
		{ "file", &r, sizeof r, { file }, 1 },
	};

	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strcmp(kinds[i].name, words[1]) == 0) {
			send_request(
				broker, kinds[i].data, kinds[i].size, kinds[i].fds, kinds[i].count);
			return through();
		}
	return (struct outcome){ "unknown", ENOSYS };
}

/* Ends of pairs that hold each other, which only the kernel's collector finds. */
static struct outcome try_cycles(char **words)
{
	struct broker_request r = request_for("127.0.0.1", "1");

	for (int i = 0; i < atoi(words[1]); i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
			return failed("socketpair");
		send_request(pair[0], "x", 1, &pair[0], 1);
		send_request(pair[1], "x", 1, &pair[1], 1);
		send_request(broker, &r, sizeof r, &pair[1], 1);
		close(pair[0]);
		close(pair[1]);
	}
	return through();
}

/* In the queue of the answer's end is the end of another pair with something in its queue ... */
static bool nest(int pair[2], int depth)
{
	for (int i = 0; i < depth; i++) {
		int next[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, next) < 0)
			return false;
		send_request(next[0], "x", 1, &pair[1], 1);
		close(pair[0]);
		close(pair[1]);
		memcpy(pair, next, sizeof next);
	}
	return true;
}

/*
 * A visitor who reads nothing, whose socket waits for him when it is closed (SO_LINGER): in the
 * queue of the answer's end, so that whoever closes that is the one who waits.
 */
static struct outcome try_linger(char **words)
{
	struct linger wait = { 1, atoi(words[1]) };
	struct broker_request r = request_for("127.0.0.1", "1");
	int pair[2], fd = take_visitor(SOCK_NONBLOCK);

	if (fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return failed("accept4");
	while (write(fd, bytes, sizeof bytes) > 0)
		;
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &wait, sizeof wait) < 0)
		return failed("setsockopt");
	send_request(pair[0], "x", 1, &fd, 1);
	close(fd);
	if (!nest(pair, atoi(words[2])))
		return failed("socketpair");
	/* The supervisor has something to do while this end is closed here: the last one waits. */
	(void)try_ask_deaf((char *[]){ words[0], "100", "127.0.0.1", "1" });
	send_request(broker, &r, sizeof r, &pair[1], 1);
	close(pair[1]);
	close(pair[0]);
	return through();
}

const struct way broker_ways[] = {
	{ "ask", try_ask },
	{ "ask_name", try_ask_name },
	{ "ask_listen", try_ask_listen },
	{ "ask_datagrams", try_ask_datagrams },
	{ "ask_often", try_ask_often },
	{ "ask_deaf", try_ask_deaf },
	{ "junk", try_junk },
	{ "cycles", try_cycles },
	{ "linger", try_linger },
	{ NULL, NULL },
};
