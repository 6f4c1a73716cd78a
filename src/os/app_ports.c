/* SPDX-License-Identifier: MIT */
#include "os/app_ports.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
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
	const struct app_port *found = port && p->gate.port == port ? &p->gate : NULL;

	for (size_t i = 0; !found && i < ARRAY_LEN(p->others); i++)
		if (p->others[i].users && p->others[i].port == port)
			found = &p->others[i];
	/* The port of one that was shut down is the kernel's to give to any program. */
	return found && listener_listens(found->fd) ? found->host_port : 0;
}

static int app_port_open(struct app_port *a)
{
	struct addr addr;
	int r;

	if (listener_listens(a->fd))
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

void app_ports_limit(struct app_ports *p, const struct network *network)
{
	for (size_t i = 0; i < ARRAY_LEN(p->others); i++) {
		struct app_port *a = &p->others[i];

		if (!a->users || a->fd < 0 || network_may_bind(network, a->port))
			continue;
		/* It is the same socket as the instances have. */
		(void)shutdown(a->fd, SHUT_RDWR);
		a->fd = fd_close(a->fd);
		log_info("network",
			"port %u of the application is closed: it is no longer in bind_ports",
			a->port);
	}
}

void app_ports_give(struct app_ports *p, int at)
{
	struct app_port *a = &p->others[at];

	if (--a->users == 0)
		a->fd = fd_close(a->fd);
}
