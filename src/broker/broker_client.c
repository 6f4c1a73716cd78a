/* SPDX-License-Identifier: MIT */
/*
 * A request is a message with a descriptor, its answer another one. The guest trusts its supervisor
 * with its life, so that what is checked of an answer is its form: the two may be of different
 * versions after an update, and a guest must not take that for a socket.
 */
#include "broker/broker_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLIENT_ERRNO_MAX 4095 /* of the kernel: include/linux/err.h, MAX_ERRNO */

union client_control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static int64_t client_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int broker_client_wait(void *owner, int fd, short events)
{
	const int *patience_ms = owner;
	int64_t until = client_now_ms() + (patience_ms ? *patience_ms : BROKER_CLIENT_PATIENCE_MS);
	int64_t left;
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int r;

	do {
		left = until - client_now_ms();
		r = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

/* What a broken pair means. */
static int client_errno(void)
{
	return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? -ECONNREFUSED : -errno;
}

static int client_send(
	const struct broker_client *c, const struct broker_request *request, int answer_to)
{
	struct iovec iov = { (void *)request, sizeof *request };
	union client_control control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room };
	int r = 0;

	control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof answer_to) };
	memcpy(CMSG_DATA(&control.head), &answer_to, sizeof answer_to);
	while (r == 0 && sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* Its queue is full: it has more than it may work at (BROKER_REQUESTS_MAX). */
		if (errno == EAGAIN)
			r = c->wait(c->owner, c->fd, POLLOUT);
		else if (errno != EINTR)
			r = client_errno();
	}
	return r;
}

static int client_receive(int fd, struct broker_answer *ret_answer, int *ret_fd)
{
	struct iovec iov = { ret_answer, sizeof *ret_answer };
	union client_control control = { 0 };
	/* Of the room that much, or the kernel would let a second descriptor in. */
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t n;

	*ret_fd = -1;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return client_errno();
	if (CMSG_FIRSTHDR(&msg) && control.head.cmsg_level == SOL_SOCKET &&
		control.head.cmsg_type == SCM_RIGHTS &&
		control.head.cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(&control.head), sizeof *ret_fd);
	if (n == 0)
		return -ECONNREFUSED;
	return n != sizeof *ret_answer || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? -EIO : 0;
}

static int client_check(
	const struct broker_request *request, const struct broker_answer *answer, int fd)
{
	if (answer->error < 0 || answer->error > CLIENT_ERRNO_MAX || answer->zero ||
		answer->count > BROKER_ADDRS_MAX)
		return -EIO;
	if (answer->error)
		return fd < 0 ? -answer->error : -EIO;
	if (request->op != BROKER_RESOLVE)
		return fd >= 0 ? 0 : -EIO;
	for (unsigned i = 0; i < answer->count; i++)
		if (answer->addrs[i].family != BROKER_IPV4 &&
			answer->addrs[i].family != BROKER_IPV6)
			return -EIO;
	return fd < 0 && answer->count > 0 ? 0 : -EIO;
}

/* ret_fd: where the answer comes with one; -1 otherwise. */
static int client_ask(const struct broker_client *c, const struct broker_request *request,
	struct broker_answer *ret_answer, int *ret_fd)
{
	int ends[2], r;

	*ret_fd = -1;
	if (c->fd < 0)
		return request->op == BROKER_RESOLVE ? -ENOENT : -EACCES;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	r = client_send(c, request, ends[1]);
	(void)close(ends[1]);
	if (r == 0)
		r = c->wait(c->owner, ends[0], POLLIN);
	if (r == 0)
		r = client_receive(ends[0], ret_answer, ret_fd);
	(void)close(ends[0]);
	if (r == 0)
		r = client_check(request, ret_answer, *ret_fd);
	if (r < 0 && *ret_fd >= 0) {
		(void)close(*ret_fd);
		*ret_fd = -1;
	}
	return r;
}

int broker_client_resolve(const struct broker_client *c, const char *name,
	enum broker_family family, struct broker_addr ret_addrs[BROKER_ADDRS_MAX])
{
	struct broker_request request = { .op = BROKER_RESOLVE, .addr.family = (uint8_t)family };
	struct broker_answer answer = { 0 };
	int fd, r;

	if (!*name || strlen(name) >= sizeof request.name)
		return *name ? -ENAMETOOLONG : -ENOENT;
	memcpy(request.name, name, strlen(name));
	r = client_ask(c, &request, &answer, &fd);
	if (r < 0)
		return r;
	memcpy(ret_addrs, answer.addrs, sizeof answer.addrs);
	return answer.count;
}

static int client_set_addr(
	struct broker_request *request, const struct sockaddr *addr, socklen_t len)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;

	if (len >= sizeof *in4 && addr->sa_family == AF_INET) {
		request->addr.family = BROKER_IPV4;
		request->port = ntohs(in4->sin_port);
		memcpy(request->addr.bytes, &in4->sin_addr, sizeof in4->sin_addr);
		return 0;
	}
	if (len >= sizeof *in6 && addr->sa_family == AF_INET6) {
		request->addr.family = BROKER_IPV6;
		request->port = ntohs(in6->sin6_port);
		memcpy(request->addr.bytes, &in6->sin6_addr, sizeof in6->sin6_addr);
		return 0;
	}
	return -EAFNOSUPPORT;
}

int broker_client_connect(const struct broker_client *c, const struct sockaddr *addr, socklen_t len)
{
	struct broker_request request = { .op = BROKER_CONNECT };
	struct broker_answer answer = { 0 };
	int fd = -1, r = client_set_addr(&request, addr, len);

	if (r == 0)
		r = client_ask(c, &request, &answer, &fd);
	return r < 0 ? r : fd;
}

int broker_client_listen(const struct broker_client *c, const struct sockaddr *addr, socklen_t len,
	uint16_t *ret_port)
{
	struct broker_request request = { .op = BROKER_LISTEN };
	struct broker_answer answer = { 0 };
	int fd, r = client_set_addr(&request, addr, len);

	if (r == 0)
		r = client_ask(c, &request, &answer, &fd);
	if (r < 0)
		return r;
	*ret_port = answer.port;
	return fd;
}

int broker_client_datagrams(const struct broker_client *c, enum broker_family family)
{
	struct broker_request request = { .op = BROKER_DATAGRAMS, .addr.family = (uint8_t)family };
	struct broker_answer answer = { 0 };
	int fd, r = client_ask(c, &request, &answer, &fd);

	if (fd >= 0)
		(void)close(fd);
	return r < 0 ? r : -EIO;
}
