/* SPDX-License-Identifier: MIT */
/*
 * Of a connection that is given away nothing is kept here: its stream knows the key of its session,
 * which may have ended when it comes back.
 *
 * The invariant: while something is parked, the next sweep is due.
 */
#include "relay/parking.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "base/fd.h"
#include "base/lang.h"
#include "front/preamble.h"
#include "net/flow.h"
#include "net/sockopt.h"
#include "relay/relay_internal.h"
#include "relay/session.h"

static int parking_put(struct relay *relay, struct ready_stack *stack, int fd, bool front)
{
	int r = relay->phase == RELAY_PHASE_SERVING
			? ready_park(stack, fd, front, uv_now(relay->loop))
			: -ECANCELED;

	if (r == 0 && list_empty(&relay->sweeps.queue))
		timeouts_arm(&relay->sweeps, &relay->sweep);
	return r;
}

/*
 * Nobody guesses a key: who names a wrong one means harm, unless it is one of a session that was
 * there when the connection was begun, here or at the relay before.
 */
static void parking_count_bad_key(
	struct relay *relay, const struct uuid *key, const struct addr *from)
{
	if (ready_has_ended(&relay->ready, key) || limits_has_tunnel(&relay->limits, from))
		return;
	relay->counts.bad_secrets++;
	limits_bad_secret(&relay->limits, from, uv_now(relay->loop));
}

void parking_enter(struct relay *relay, const struct uuid *key, const struct preamble *preamble,
	int fd, bool unasked)
{
	struct ready_stack *stack = ready_find(&relay->ready, key);

	/* For as long as it is parked, or a pump has it; and who isn't parked is reset. */
	sockopt_set_reset(fd);
	if (stack && !unasked &&
		parking_put(relay, stack, fd, preamble->upgraded || preamble->proxied) == 0) {
		(void)sockopt_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, READY_KEEP_IDLE_S);
		return;
	}
	relay->counts.ready_refused++;
	if (!stack)
		parking_count_bad_key(relay, key, &preamble->from);
	(void)fd_close(fd);
}

/*
 * What a visitor has said is delivered once at most, so one who is given to a client that is gone
 * is reset, and one who is announced is there still when the client returns.
 */
bool parking_take(struct session *session, struct ready_conn *ret_conn)
{
	struct relay_counts *counts = &session->relay->counts;
	bool taken;

	if (!session->ready.ready)
		return false;
	taken = !session_is_silent(session) && ready_take(&session->ready, ret_conn);
	counts->ready_given += taken;
	counts->ready_missed += !taken;
	return taken;
}

void parking_return(
	struct relay *relay, const struct uuid *key, bool front, const struct flow_result *result)
{
	struct ready_stack *stack = ready_find(&relay->ready, key);
	int fd = result->fd[PUMP_INNER];

	relay->counts.ready_untaken += result->untaken;
	if (stack && result->untaken)
		ready_note_untaken(stack, uv_now(relay->loop));
	else if (stack && result->taken)
		ready_note_taken(stack);
	if (fd < 0)
		return;
	if (!stack || result->rest_len || parking_put(relay, stack, fd, front) < 0)
		sockopt_close_in_order(fd);
}

void parking_on_sweep(struct timeouts *q, struct timeout *t)
{
	struct relay *relay = q->owner;

	ready_sweep(&relay->ready, uv_now(relay->loop));
	if (relay->ready.count)
		timeouts_arm(q, t);
}
