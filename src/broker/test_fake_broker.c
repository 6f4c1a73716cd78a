/* SPDX-License-Identifier: MIT */
#include "broker/test_fake_broker.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fake_connect(const struct broker_request *request, struct broker_answer *answer)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(request->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint32_t ipv4 = htonl(FAKE_IPV4);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The fake runs in the guest's process, whose connect(2) may have been taken over. */
	if (request->addr.family == BROKER_IPV4 &&
		memcmp(request->addr.bytes, &ipv4, sizeof ipv4) != 0)
		answer->error = EACCES;
	else if (syscall(SYS_connect, fd, &to, sizeof to) < 0)
		answer->error = errno;
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	if (!answer->error)
		return fd;
	(void)close(fd);
	return FAKE_NO_FD;
}

static int fake_listen(const struct broker_request *request, struct broker_answer *answer)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	answer->port = request->port;
	if (request->port && request->port != FAKE_PORT && request->port != FAKE_GATE) {
		answer->error = EACCES;
		return FAKE_NO_FD;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)syscall(SYS_bind, fd, &any, sizeof any);
	(void)syscall(SYS_listen, fd, 8);
	return fd;
}

int fake_broker_serve(const struct broker_request *request, struct broker_answer *answer)
{
	if (request->op == BROKER_CONNECT)
		return fake_connect(request, answer);
	if (request->op == BROKER_LISTEN)
		return fake_listen(request, answer);
	if (request->op == BROKER_DATAGRAMS) {
		answer->error = EACCES;
		return FAKE_NO_FD;
	}
	if (strcmp(request->name, FAKE_NAME) != 0) {
		answer->error = ENOENT;
	} else {
		if (request->addr.family != BROKER_IPV6)
			answer->addrs[answer->count++] =
				(struct broker_addr){ BROKER_IPV4, { 198, 18, 0, 1 } };
		if (request->addr.family != BROKER_IPV4)
			answer->addrs[answer->count++] =
				(struct broker_addr){ BROKER_IPV6, { 0xfd, [15] = 1 } };
	}
	return FAKE_NO_FD;
}

/* -1: the guest has gone. */
static int fake_receive(struct fake_broker *b, struct broker_request *request)
{
	struct iovec iov = { request, sizeof *request };
	char room[CMSG_SPACE(2 * sizeof(int))];
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room
	};
	ssize_t n = recvmsg(b->fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int fd;

	if (n <= 0)
		return -1;
	assert_int_equal(n, sizeof *request);
	assert_non_null(head);
	assert_int_equal(head->cmsg_len, CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(head), sizeof fd);
	return fd;
}

static void fake_send(const struct fake_broker *b, int to, struct broker_answer *answer, int fd)
{
	struct iovec iov = { answer, b->answer_size };
	char room[CMSG_SPACE(4 * sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *head;

	if (fd >= 0) {
		msg.msg_control = room;
		msg.msg_controllen = CMSG_SPACE(b->fds * sizeof(int));
		head = CMSG_FIRSTHDR(&msg);
		*head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(b->fds * sizeof(int)) };
		for (unsigned i = 0; i < b->fds; i++)
			memcpy(CMSG_DATA(head) + i * sizeof fd, &fd, sizeof fd);
	}
	(void)sendmsg(to, &msg, MSG_NOSIGNAL);
}

static void *fake_run(void *data)
{
	struct fake_broker *b = data;
	struct broker_request request;
	int to, fd;

	while ((to = fake_receive(b, &request)) >= 0) {
		struct broker_answer answer = { 0 };

		b->requests++;
		fd = b->answer(&request, &answer);
		if (fd == FAKE_SILENCE) {
			b->silent_fd = to;
			continue;
		}
		fake_send(b, to, &answer, fd);
		if (fd >= 0)
			(void)close(fd);
		(void)close(to);
	}
	return NULL;
}

void fake_broker_start_at(
	struct fake_broker *b, int take_client_fd, int take_fd, fake_answer_fn answer)
{
	*b = (struct fake_broker){ .client = { .fd = take_client_fd, .wait = broker_client_wait },
		.fd = take_fd,
		.answer = answer,
		.answer_size = sizeof(struct broker_answer),
		.fds = 1,
		.silent_fd = -1 };
	assert_int_equal(pthread_create(&b->thread, NULL, fake_run, b), 0);
}

void fake_broker_start(struct fake_broker *b, fake_answer_fn answer)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	fake_broker_start_at(b, ends[0], ends[1], answer);
}

void fake_broker_die(struct fake_broker *b)
{
	(void)shutdown(b->fd, SHUT_RDWR);
	(void)pthread_join(b->thread, NULL);
	(void)close(b->fd);
	if (b->silent_fd >= 0)
		(void)close(b->silent_fd);
	b->fd = -1;
}

void fake_broker_stop(struct fake_broker *b)
{
	if (b->fd >= 0)
		fake_broker_die(b);
	(void)close(b->client.fd);
}
