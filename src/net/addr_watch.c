/* SPDX-License-Identifier: MIT */
/* What the messages say is of no interest here: the owner is told once per burst that something has
 * changed. */
#include "net/addr_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct addr_watch *w = container_of(poll, struct addr_watch, poll);
	ssize_t n;

	/* ENOBUFS: messages were lost, which is a change as well (netlink(7)). */
	do
		n = recv(w->fd, NULL, 0, MSG_TRUNC);
	while (n >= 0 || errno == ENOBUFS || errno == EINTR);
	/* libuv stops a handle at EPOLLERR, which is how ENOBUFS comes. */
	if (status < 0)
		(void)uv_poll_start(&w->poll, UV_READABLE, on_readable);
	w->changed(w->owner);
}

static int open_netlink(int *ret_fd)
{
	struct sockaddr_nl local = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV6_ROUTE,
	};
	_cleanup_(fd_closep) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int addr_watch_open(struct addr_watch *w, uv_loop_t *loop)
{
	_cleanup_(fd_closep) int fd = -1;
	int r = open_netlink(&fd);

	w->fd = -1;
	if (r < 0)
		return r;
	r = uv_poll_init(loop, &w->poll, fd);
	if (r < 0)
		return r;
	w->fd = take_fd(&fd);
	(void)uv_poll_start(&w->poll, UV_READABLE, on_readable);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct addr_watch *w = container_of((uv_poll_t *)handle, struct addr_watch, poll);

	w->closed(w);
}

void addr_watch_close(struct addr_watch *w)
{
	if (w->fd < 0)
		return;
	uv_close((uv_handle_t *)&w->poll, on_closed);
	w->fd = fd_close(w->fd);
}
