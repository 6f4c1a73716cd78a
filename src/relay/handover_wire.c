/* SPDX-License-Identifier: MIT */
/* Messages with descriptors beside them (cmsg(3)). Owns nothing. */
#include "relay/handover_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/owner.h"

/* The union gives the room its alignment. */
union wire_control {
	char room[CMSG_SPACE(sizeof(int) * HANDOVER_ITEMS_MAX)];
	struct cmsghdr head;
};

#define BATCH_HEAD offsetof(struct handover_batch, items)

int handover_wire_address(const char *path, struct sockaddr_un *ret_addr)
{
	size_t len = strlen(path);

	if (!len)
		return -EINVAL;
	if (len >= sizeof(ret_addr->sun_path))
		return -ENAMETOOLONG;
	*ret_addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret_addr->sun_path, path, len);
	return 0;
}

int handover_wire_socket(int flags, int *ret_fd)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int handover_wire_check_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

static int wire_send(int fd, const struct msghdr *msg)
{
	ssize_t n;

	do
		n = sendmsg(fd, msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int handover_wire_send_ask(int fd, enum handover_word word)
{
	struct handover_ask ask = { .version = HANDOVER_VERSION, .word = word };
	struct iovec iov = { &ask, sizeof(ask) };

	return wire_send(fd, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 });
}

int handover_wire_send_batch(int fd, const struct handover_batch *batch)
{
	struct iovec iov = { (void *)batch, BATCH_HEAD + batch->count * sizeof(batch->items[0]) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t size = batch->count * sizeof(batch->fds[0]);
	union wire_control control = { 0 };

	if (batch->count) {
		control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(size) };
		memcpy(CMSG_DATA(&control.head), batch->fds, size);
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(size);
	}
	return wire_send(fd, &msg);
}

int handover_wire_receive_ask(int fd, enum handover_word *ret_word)
{
	struct handover_ask ask;
	/* Without room for them, descriptors that come along are closed by the kernel. */
	ssize_t n = recv(fd, &ask, sizeof(ask), 0);

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	if (n != sizeof(ask) || ask.version != HANDOVER_VERSION ||
		(ask.word != HANDOVER_GIVE && ask.word != HANDOVER_TAKEN))
		return -EPROTO;
	*ret_word = ask.word;
	return 0;
}

/* How many descriptors have come, at most HANDOVER_ITEMS_MAX. */
static size_t wire_take_fds(struct msghdr *msg, int *fds)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);
	size_t size;

	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return 0;
	size = head->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(head), size);
	return size / sizeof(*fds);
}

int handover_wire_receive_batch(int fd, struct handover_batch *ret_batch)
{
	struct iovec iov = { ret_batch, offsetof(struct handover_batch, fds) };
	union wire_control control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room) };
	size_t count;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	count = wire_take_fds(&msg, ret_batch->fds);
	if ((size_t)n >= BATCH_HEAD && ret_batch->version == HANDOVER_VERSION &&
		ret_batch->count == count && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
		(size_t)n == BATCH_HEAD + count * sizeof(ret_batch->items[0]))
		return 0;
	for (size_t i = 0; i < count; i++)
		(void)fd_close(ret_batch->fds[i]);
	return n == 0 ? -ECONNRESET : -EPROTO;
}
