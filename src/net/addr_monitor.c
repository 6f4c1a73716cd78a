/* SPDX-License-Identifier: MIT */
/* What the messages say is of no interest here: the owner is told once per burst that something has
 * changed. */
#include "net/addr_monitor.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"

static void addr_monitor_on_readable(uv_poll_t *poll, int status, int events)
{
	struct addr_monitor *m = container_of(poll, struct addr_monitor, poll);
	ssize_t n;

	/* ENOBUFS: messages were lost, which is a change as well (netlink(7)). */
	do
		n = recv(m->fd, NULL, 0, MSG_TRUNC);
	while (n >= 0 || errno == ENOBUFS || errno == EINTR);
	/* libuv stops a handle at EPOLLERR, which is how ENOBUFS comes. */
	if (status < 0)
		(void)uv_poll_start(&m->poll, UV_READABLE, addr_monitor_on_readable);
	m->changed(m->owner);
}

static int addr_monitor_open_socket(int *ret_fd)
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

int addr_monitor_open(struct addr_monitor *m, uv_loop_t *loop)
{
	_cleanup_(fd_closep) int fd = -1;
	int r = addr_monitor_open_socket(&fd);

	m->fd = -1;
	if (r < 0)
		return r;
	r = uv_poll_init(loop, &m->poll, fd);
	if (r < 0)
		return r;
	m->fd = take_fd(&fd);
	(void)uv_poll_start(&m->poll, UV_READABLE, addr_monitor_on_readable);
	return 0;
}

static void addr_monitor_on_closed(uv_handle_t *handle)
{
	struct addr_monitor *m = container_of((uv_poll_t *)handle, struct addr_monitor, poll);

	m->closed(m);
}

void addr_monitor_close(struct addr_monitor *m)
{
	if (m->fd < 0)
		return;
	uv_close((uv_handle_t *)&m->poll, addr_monitor_on_closed);
	m->fd = fd_close(m->fd);
}
