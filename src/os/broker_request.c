/* SPDX-License-Identifier: MIT */
#include "os/broker_request.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "os/stall.h"

/* For one, and since the kernel aligns there is room for two (cmsg(3)). */
#define BROKER_FDS_MAX 2

static bool is_zero(const void *data, size_t len)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static const char *check_addr(const struct broker_addr *a)
{
	if (a->family == BROKER_IPV6)
		return NULL;
	if (a->family != BROKER_IPV4)
		return "no such family";
	return is_zero(a->bytes + 4, sizeof a->bytes - 4) ? NULL : "bytes behind an IPv4 address";
}

static const char *check_resolve(const struct broker_request *r)
{
	size_t len = strnlen(r->name, sizeof r->name);

	if (!len || len == sizeof r->name)
		return "a name without its end, or none";
	if (!is_zero(r->name + len, sizeof r->name - len))
		return "bytes behind the name";
	if (r->port || !is_zero(r->addr.bytes, sizeof r->addr.bytes))
		return "an address where a name is asked for";
	return r->addr.family == BROKER_ANY || r->addr.family == BROKER_IPV4 ||
			       r->addr.family == BROKER_IPV6
		       ? NULL
		       : "no such family";
}

static const char *check_connect(const struct broker_request *r)
{
	if (!is_zero(r->name, sizeof r->name))
		return "a name where an address is asked for";
	return check_addr(&r->addr);
}

static const char *check_datagrams(const struct broker_request *r)
{
	if (r->port || !is_zero(r->addr.bytes, sizeof r->addr.bytes))
		return "an address where a socket is asked for";
	return check_connect(r);
}

const char *broker_request_check(const void *data, size_t len, struct broker_request *ret_request)
{
	static const char *(*const checks[])(const struct broker_request *r) = {
		[BROKER_RESOLVE] = check_resolve,
		[BROKER_CONNECT] = check_connect,
		[BROKER_LISTEN] = check_connect,
		[BROKER_DATAGRAMS] = check_datagrams,
	};

	if (len != sizeof *ret_request)
		return "not of a request's size";
	memcpy(ret_request, data, sizeof *ret_request);
	if (ret_request->zero)
		return "a byte that isn't 0";
	if (ret_request->op >= ARRAY_LEN(checks) || !checks[ret_request->op])
		return "no such operation";
	return checks[ret_request->op](ret_request);
}

/* Whether it is what a client of ours sends along. */
static bool is_reply_socket(int fd)
{
	socklen_t len = sizeof(int);
	int domain, type, listens;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && !listens;
}

/* Puts the descriptors that came into `fds`. Returns their number. */
static size_t take_fds(struct msghdr *message, int fds[BROKER_FDS_MAX])
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
			bytes > (BROKER_FDS_MAX - count) * sizeof *fds)
			continue;
		memcpy(fds + count, CMSG_DATA(c), bytes);
		count += bytes / sizeof *fds;
	}
	return count;
}

static void *close_apart(void *fd)
{
	(void)fd_close((int)(intptr_t)fd);
	return NULL;
}

/*
 * True: it has made us wait. A file may be on a file system that doesn't answer (NFS, FUSE), and
 * close(2) of it waits for that, whatever signals come: so it has a thread of its own. Only a
 * hostile guest sends one, and is ended for it. What lies in a socket's queue nobody has in his
 * table, and of such files the kernel flushes nothing when it lets them go.
 */
static bool close_foreign(int fd, struct stall *stall)
{
	socklen_t len = sizeof(int);
	pthread_t thread;
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 &&
		pthread_create(&thread, NULL, close_apart, (void *)(intptr_t)fd) == 0) {
		(void)pthread_detach(thread);
		return false;
	}
	return stall_close(stall, fd);
}

/* What a message of `n` bytes with `count` descriptors is. */
static enum broker_received judge(struct msghdr *message, const void *data, size_t n,
	const int *fds, size_t count, struct broker_request *ret_request, const char **ret_why)
{
	/* Each message says who has sent it, an empty one, too: see broker_channel_open(). */
	if (!n && !CMSG_FIRSTHDR(message))
		return BROKER_RECEIVED_END;
	if (message->msg_flags & MSG_TRUNC)
		*ret_why = "longer than a request";
	else if (!count && (message->msg_flags & MSG_CTRUNC))
		return BROKER_RECEIVED_SHORT;
	else if (count != 1 || (message->msg_flags & MSG_CTRUNC))
		*ret_why = "not with one descriptor";
	else if (!is_reply_socket(*fds))
		*ret_why = "with a descriptor that no answer can be sent on";
	else
		*ret_why = broker_request_check(data, n, ret_request);
	return *ret_why ? BROKER_RECEIVED_HOSTILE : BROKER_RECEIVED;
}

enum broker_received broker_request_receive(int fd, struct stall *stall,
	struct broker_request *ret_request, int *ret_fd, const char **ret_why, bool *ret_held)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
	} control;
	char data[sizeof(struct broker_request) + 1];
	struct iovec iov = { .iov_base = data, .iov_len = sizeof data };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	int fds[BROKER_FDS_MAX];
	enum broker_received received;
	size_t count;
	ssize_t n;

	/* The kernel closes the descriptors for which there is no room. A reset is told once,
	 * before what was sent ahead of it. */
	stall_watch(stall);
	do
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == ECONNRESET || errno == EINTR));
	*ret_held = stall_end(stall);
	if (n < 0)
		return errno == EAGAIN ? BROKER_RECEIVED_NONE : BROKER_RECEIVED_END;
	*ret_why = NULL;
	count = take_fds(&message, fds);
	received = judge(&message, data, (size_t)n, fds, count, ret_request, ret_why);
	if (received == BROKER_RECEIVED)
		*ret_fd = fds[--count];
	while (count > 0)
		*ret_held |= close_foreign(fds[--count], stall);
	return received;
}

int broker_channel_open(int ret_fds[2])
{
	int on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return -errno;
	(void)setsockopt(ret_fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	return 0;
}

int broker_answer_send(int to, const struct broker_answer *answer, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct broker_answer copy = *answer;
	struct iovec iov = { .iov_base = &copy, .iov_len = sizeof copy };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof fd) };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof fd);
	}
	return sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
