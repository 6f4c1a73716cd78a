/* SPDX-License-Identifier: MIT */
/*
 * The target that is dialled. A dial that the flow no longer waits for stays until libuv lets go of
 * it, and holds a reference on the set for as long.
 */
#include "net/target.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/dial.h"
#include "net/flow.h"

/* A dial for a flow; its holder. */
struct dialling {
	struct dial dial;
	struct flow_set *set;
	struct flow *flow;
	enum pump_side side;
};

/*
 * A socket that tells what that of the dial has told already, and tells but once: that it was
 * connected, and reset since. A peer that closes with unread bytes makes it so (tests/kernel).
 */
static int dialling_stand_in(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	(void)send(pair[0], "", 1, MSG_NOSIGNAL);
	(void)fd_close(pair[1]);
	return pair[0];
}

/* The dial has come to `r` and, where that is 1, *fd. Returns as target->open(). */
static int dialling_finish(enum pump_side side, int r, int *fd)
{
	/* Whoever has accepted and reset was reached, and his reset is the pump's to pass on. */
	if (r != -ECONNRESET || side != PUMP_INNER)
		return r;
	*fd = dialling_stand_in();
	return *fd < 0 ? r : 1;
}

static void dialling_on_done(
	struct dial *dial, int fd, int error, bool resolving, const struct addr *peer)
{
	struct dialling *d = container_of(dial, struct dialling, dial);
	struct flow_set *set = d->set;
	struct flow *f = d->flow;
	enum pump_side side = d->side;
	int r = dialling_finish(side, fd < 0 ? error : 1, &fd);

	free(d);
	if (r < 0)
		flow_failed(f, side, r);
	else
		flow_opened(f, side, fd, NULL, 0);
	flow_set_unref(set);
}

static void dialling_on_cancelled(struct dial *dial)
{
	struct dialling *d = container_of(dial, struct dialling, dial);
	struct flow_set *set = d->set;

	free(d);
	flow_set_unref(set);
}

static void dialling_cancel(void *holder)
{
	struct dialling *d = holder;

	dial_cancel(&d->dial);
}

static int dial_target_open(
	const struct target *target, struct flow *f, enum pump_side side, int *ret_fd)
{
	static const struct holder_ops ops = { .cancel = dialling_cancel };
	struct dial_target *t = container_of(target, struct dial_target, target);
	struct dialling *d = calloc(1, sizeof(*d));
	int fd = -1, r;

	if (!d)
		return -ENOMEM;
	d->dial.done = dialling_on_done;
	d->dial.cancelled = dialling_on_cancelled;
	d->set = f->set;
	d->flow = f;
	d->side = side;
	r = dial_start(&d->dial, &t->dialer, &fd);
	if (r == 0) {
		flow_set_ref(f->set);
		flow_hold(f, side, &ops, d);
		return 0;
	}
	free(d);
	r = dialling_finish(side, r, &fd);
	if (r == 1)
		*ret_fd = fd;
	return r;
}

int dial_target_init(struct dial_target *t, uv_loop_t *loop, const char *host, uint16_t port)
{
	t->target.open = dial_target_open;
	return dialer_init(&t->dialer, loop, host, port);
}
