/* SPDX-License-Identifier: MIT */
/*
 * The reserve is an open /dev/null. Another thread may take the number that is free for a moment;
 * then nothing is shed this time, and the reserve is opened again as soon as that works.
 */
#include "net/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/sockopt.h"

#define RESERVE_QUIET_MS 2000 /* without shedding: the episode is over */

int reserve_open(struct reserve *r)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*r = (struct reserve){ .fd = fd };
	return 0;
}

void reserve_close(struct reserve *r)
{
	r->fd = fd_close(r->fd);
}

void reserve_note_shed(struct reserve *r)
{
	if (!r->shedding) {
		log_warn("listener",
			"out of file descriptors, closing new connections (see ulimit -n)");
		r->shedding = true;
		r->shed_episode = 0;
	}
	r->shed_total++;
	r->shed_episode++;
	r->last_ms = clock_now_ms();
}

bool reserve_shed(struct reserve *r, int listen_fd)
{
	int fd;

	if (r->relieve && r->relieve(r))
		return true;
	r->fd = fd_close(r->fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	/* In order, whatever it has from the listening one. */
	sockopt_close_in_order(fd);
	r->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;

	reserve_note_shed(r);
	return true;
}

void reserve_recovered(struct reserve *r)
{
	if (!r->shedding || clock_now_ms() - r->last_ms < RESERVE_QUIET_MS)
		return;
	r->shedding = false;
	log_warn(
		"listener", "file descriptors are to be had again count=%" PRIu64, r->shed_episode);
}
