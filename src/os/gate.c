/* SPDX-License-Identifier: MIT */
/*
 * The poll always waits for the socket's end, and for visitors while they are turned away, or until
 * the first of them is told of. The timer runs while they wait, for an instance or for a descriptor
 * to take them with, because an instance has made us wait, or until the port can be had again.
 */
#include "os/gate.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/listener.h"
#include "net/sockopt.h"
#include "os/run_config.h"

#define RETRY_MS 100 /* until something may have given a descriptor back */

static void gate_on_event(uv_poll_t *poll, int status, int events);
static void gate_reopen(struct gate *g);

/* Its end is looked for in any case. */
static void gate_watch(struct gate *g, bool visitors)
{
	(void)uv_poll_start(&g->poll, UV_DISCONNECT | (visitors ? UV_READABLE : 0), gate_on_event);
}

static void gate_on_pause_over(uv_timer_t *timer)
{
	struct gate *g = timer->data;

	if (g->lost)
		gate_reopen(g);
	else
		gate_watch(g, true);
}

/* The visitor stays in the queue, and the socket readable: asking at once would be a busy wait. */
static void gate_back_off(struct gate *g, uint64_t ms)
{
	gate_watch(g, false);
	(void)uv_timer_start(&g->pause, gate_on_pause_over, ms, 0);
}

static void gate_tell_short(struct gate *g, int error)
{
	if (!g->said_short)
		log_warn("app", "can't turn visitors away, they wait: %s", strerror(error));
	g->said_short = true;
}

/* What `state` asks for. */
static void gate_enter(struct gate *g)
{
	gate_watch(g, g->state == GATE_CLOSED || g->state == GATE_ON_DEMAND);
	(void)uv_timer_stop(&g->pause);
	if (g->state == GATE_PAUSED)
		(void)uv_timer_start(&g->pause, gate_on_pause_over, GATE_PAUSE_MS, 0);
}

/* The descriptor's number stays, for all who know it. */
static void gate_reopen(struct gate *g)
{
	_cleanup_(fd_closep) int fd = -1;
	struct addr addr;
	int r = addr_parse_ip(OS_APP_HOST, g->port, &addr);

	/* The dead socket has the port still, and whoever has killed it may have seen to it that
	 * nobody can share. */
	(void)sockopt_set_int(g->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0)
		r = listener_socket(&addr, LISTENER_BACKLOG, &fd);
	if (r == 0 && dup3(fd, g->fd, O_CLOEXEC) < 0)
		r = -errno;
	if (r < 0) {
		(void)uv_timer_start(&g->pause, gate_on_pause_over, RETRY_MS, 0);
		return;
	}
	g->lost = false;
	gate_enter(g);
}

/* Takes a visitor off the queue. False: there is no other for now. */
static bool gate_take(struct gate *g)
{
	bool held;
	int fd;

	/* It belongs to the open file (open(2)), so an instance may have taken it away. */
	(void)fcntl(g->fd, F_SETFL, O_NONBLOCK);
	stall_watch(&g->stall);
	fd = accept4(g->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	held = stall_end(&g->stall);
	if (fd >= 0) {
		g->said_short = false;
		/* Of all that a listener's sockets inherit this alone is felt: close(2) would throw
		 * away what has not arrived, or wait for it. */
		sockopt_lift_reset(fd);
		unserved_add(&g->unserved, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		gate_tell_short(g, errno);
		gate_back_off(g, RETRY_MS);
		return false;
	} else if (errno == EAGAIN) {
		return false;
	}
	/* Else it was that visitor's own mishap (accept(2)). */
	if (held)
		gate_back_off(g, STALL_REST_MS);
	return !held;
}

static void gate_on_event(uv_poll_t *poll, int status, int events)
{
	struct gate *g = poll->data;

	if (!listener_listens(g->fd)) {
		/* epoll(7) knows the dead one by the same number: it must forget it first. */
		(void)uv_poll_stop(poll);
		g->lost = true;
		gate_reopen(g);
		g->shut(g->owner);
		return;
	}
	if (!(events & UV_READABLE))
		return;
	if (g->state == GATE_ON_DEMAND) {
		gate_watch(g, false);
		g->wanted(g->owner);
		return;
	}
	for (unsigned i = 0; i < LISTENER_BATCH && gate_take(g); i++)
		;
}

int gate_open(struct gate *g, uv_loop_t *loop, uint16_t port)
{
	_cleanup_(fd_closep) int fd = -1;
	struct addr addr;
	int r = addr_parse_ip(OS_APP_HOST, port, &addr);

	assert(r == 0);
	r = listener_socket(&addr, LISTENER_BACKLOG, &fd);
	if (r == 0)
		r = stall_init(&g->stall);
	if (r < 0)
		return r;
	r = uv_poll_init(loop, &g->poll, fd);
	if (r < 0) {
		stall_deinit(&g->stall);
		return r;
	}
	g->fd = take_fd(&fd);
	g->port = addr_port(&addr);
	(void)uv_timer_init(loop, &g->pause);
	g->poll.data = g->pause.data = g;
	g->parts = 3;
	unserved_init(&g->unserved, loop);
	g->state = GATE_OPEN;
	gate_set(g, GATE_CLOSED);
	return 0;
}

void gate_set(struct gate *g, enum gate_state state)
{
	if (g->state == state)
		return;
	g->state = state;
	if (!g->lost)
		gate_enter(g);
}

/* Once nothing of it is open, whoever has the memory may free it. */
static void gate_on_part_closed(void *owner)
{
	struct gate *g = owner;

	if (--g->parts > 0)
		return;
	g->fd = fd_close(g->fd);
	stall_deinit(&g->stall);
	g->closed(g->owner);
}

static void gate_on_handle_closed(uv_handle_t *handle)
{
	gate_on_part_closed(handle->data);
}

void gate_close(struct gate *g)
{
	uv_close((uv_handle_t *)&g->poll, gate_on_handle_closed);
	uv_close((uv_handle_t *)&g->pause, gate_on_handle_closed);
	unserved_close(&g->unserved, gate_on_part_closed, g);
}
