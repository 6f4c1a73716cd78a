/* SPDX-License-Identifier: MIT */
#include "os/app_ports.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "net/addr.h"
#include "net/listener.h"

void app_ports_init(struct app_ports *p)
{
	*p = (struct app_ports){ .gate.fd = -1 };
	for (size_t i = 0; i < ARRAY_LEN(p->others); i++)
		p->others[i].fd = -1;
}

void app_ports_deinit(struct app_ports *p)
{
	for (size_t i = 0; i < ARRAY_LEN(p->others); i++)
		p->others[i].fd = fd_close(p->others[i].fd);
}

void app_ports_set_gate(struct app_ports *p, int fd, uint16_t host_port)
{
	p->gate.fd = fd;
	p->gate.host_port = host_port;
}

uint16_t app_ports_find(const struct app_ports *p, uint16_t port)
{
	if (port && p->gate.port == port)
		return p->gate.host_port;
	for (size_t i = 0; i < ARRAY_LEN(p->others); i++)
		if (p->others[i].users && p->others[i].port == port)
			return p->others[i].host_port;
	return 0;
}

/* Every instance can end it for all, by shutdown(2). */
static bool listens(int fd)
{
	socklen_t len = sizeof(int);
	int on = 0;

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

static int app_port_open(struct app_port *a)
{
	struct addr addr;
	int r;

	if (listens(a->fd))
		return 0;
	a->fd = fd_close(a->fd);
	(void)addr_parse_ip("127.0.0.1", 0, &addr);
	r = listener_socket(&addr, LISTENER_BACKLOG, &a->fd);
	if (r == 0)
		a->host_port = addr_port(&addr);
	return r;
}

/* That of the port, else a free one. */
static struct app_port *app_ports_entry(struct app_ports *p, uint16_t port)
{
	struct app_port *vacant = NULL;

	for (size_t i = 0; i < ARRAY_LEN(p->others); i++) {
		if (!p->others[i].users)
			vacant = vacant ? vacant : &p->others[i];
		else if (p->others[i].port == port)
			return &p->others[i];
	}
	return vacant;
}

int app_ports_take(struct app_ports *p, uint16_t port)
{
	struct app_port *a = app_ports_entry(p, port);
	int r;

	if (!a)
		return -ENOSPC;
	r = app_port_open(a);
	if (r < 0)
		return r;
	a->port = port;
	a->users++;
	return (int)(a - p->others);
}

void app_ports_give(struct app_ports *p, int at)
{
	struct app_port *a = &p->others[at];

	if (--a->users == 0)
		a->fd = fd_close(a->fd);
}
