/* SPDX-License-Identifier: MIT */
/*
 * A public port. relay->endpoints[port] is the one endpoint that has it, from endpoint_open() to
 * endpoint_close(). Its listener is paused, or closed, exactly while its gate is FULL, QUEUED or
 * HELD; endpoint_set_gate() alone changes that:
 *
 *   endpoint_on_admits()       A visitor is there. OPEN, or FULL at the tunnel's own limit, or
 *                              QUEUED at the limit of all, or HELD.
 *   endpoint_release()         The client is back, or nothing is handed over: HELD -> OPEN.
 *   endpoint_relieve()         One who waits here has gone: FULL -> OPEN.
 *   endpoint_resume_queued()   The end of a turn, and there is room: QUEUED -> TURN, the longest
 *                              queued first.
 *
 * TURN lets an endpoint that was queued take one visitor before those that still are; without it
 * the tunnel whose visitor comes first would get every place that becomes free.
 *
 * An endpoint owns its listener. It is freed with its last reference: those of the listener, of the
 * session (an orphan has it until its client comes) and of each stream, for streams go on when the
 * tunnel is closed.
 */
#include "relay/endpoint.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/fd.h"
#include "base/lang.h"
#include "net/sockopt.h"
#include "relay/handover_wire.h"
#include "relay/relay_internal.h"
#include "relay/session.h"
#include "relay/stream.h"

static void endpoint_set_gate(struct endpoint *e, enum endpoint_gate gate)
{
	struct relay *relay = e->relay;
	bool was = e->gate >= ENDPOINT_FULL, is = gate >= ENDPOINT_FULL;

	if (e->gate == ENDPOINT_QUEUED)
		list_remove(&e->queue_link);
	if (gate == ENDPOINT_QUEUED)
		list_push_back(&relay->queued, &e->queue_link);
	e->gate = gate;
	if (is && !was) {
		relay->paused_count++;
		relay->counts.tunnels_paused++;
	} else if (was && !is) {
		relay->paused_count--;
		listener_resume(&e->listener);
	}
}

/* Whether the next visitor is accepted, or left in the kernel's queue. */
static bool endpoint_on_admits(struct listener *l)
{
	struct endpoint *e = l->owner;
	struct relay *relay = e->relay;
	bool turn = e->gate == ENDPOINT_TURN;

	if (!e->session || relay->holding)
		endpoint_set_gate(e, ENDPOINT_HELD);
	else if (e->waiting >= relay->config.max_pending_per_tunnel)
		endpoint_set_gate(e, ENDPOINT_FULL);
	else if (relay->pending.count >= relay->pending.max ||
		 (!turn && !list_empty(&relay->queued)))
		endpoint_set_gate(e, ENDPOINT_QUEUED);
	else
		endpoint_set_gate(e, ENDPOINT_OPEN);
	return e->gate == ENDPOINT_OPEN;
}

static void endpoint_on_accepted(struct listener *l, int fd, const struct addr *from)
{
	stream_arrive(l->owner, fd, from);
}

static void endpoint_on_closed(struct listener *l)
{
	endpoint_unref(l->owner);
}

static struct endpoint *endpoint_new(struct relay *relay, const struct addr *client)
{
	struct endpoint *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->relay = relay;
	e->client = *client;
	e->listener.fd = -1;
	e->listener.owner = e;
	e->listener.reserve = &relay->reserve;
	e->listener.pool = relay->pool;
	e->listener.admits = endpoint_on_admits;
	e->listener.accepted = endpoint_on_accepted;
	e->listener.closed = endpoint_on_closed;
	timeout_init(&e->orphan);
	return e;
}

/* It listens. A visitor is a stream from the first: our death is a reset to him, which his socket
 * has from the listening one. */
static void endpoint_enter(struct endpoint *e, uint64_t age_ms)
{
	struct relay *relay = e->relay;
	uint64_t now_ms = uv_now(relay->loop);

	sockopt_set_reset(e->listener.fd);
	e->refs = 2;
	e->port = addr_port(&e->listener.addr);
	e->opened_ms = now_ms - min_u64(age_ms, now_ms);
	relay->objects++;
	assert(!relay->endpoints[e->port]);
	relay->endpoints[e->port] = e;
}

enum ports_refusal endpoint_open(struct relay *relay, uint16_t wanted, const struct addr *from,
	struct endpoint **ret_endpoint)
{
	struct endpoint *e = endpoint_new(relay, from);
	enum ports_refusal refusal;

	if (!e)
		return PORTS_FAILED;
	refusal = ports_listen(&relay->ports, &e->listener, wanted);
	if (refusal != PORTS_OK) {
		free(e);
		return refusal;
	}
	endpoint_enter(e, 0);
	*ret_endpoint = e;
	return PORTS_OK;
}

/* --- orphans --- */

void endpoint_adopt(struct relay *relay, const struct handover_item *item, int fd)
{
	struct endpoint *e;
	struct addr addr;

	if (addr_of_socket(fd, &addr) < 0 || !listener_listens(fd) ||
		!ports_fit(&relay->ports, &addr) || relay->endpoints[addr_port(&addr)] ||
		!limits_take_tunnel(&relay->limits, &item->client)) {
		(void)fd_close(fd);
		return;
	}
	e = endpoint_new(relay, &item->client);
	if (!e)
		(void)fd_close(fd);
	if (!e || listener_adopt(&e->listener, relay->loop, fd, false) < 0) {
		limits_give_tunnel(&relay->limits, &item->client);
		free(e);
		return;
	}
	endpoint_enter(e, item->age_ms);
	memcpy(e->token, item->token, sizeof(e->token));
	e->has_token = true;
	timeouts_arm(&relay->orphans, &e->orphan);
	relay->orphan_count++;
	relay->counts.tunnels_adopted++;
	relay_tell(relay, &(struct relay_event){
				  .type = RELAY_TUNNEL_ADOPTED,
				  .port = e->port,
				  .addr = &e->client,
			  });
}

void endpoint_end_orphan(struct endpoint *e)
{
	timeout_disarm(&e->orphan);
	e->relay->orphan_count--;
}

static void endpoint_close_orphan(struct endpoint *e, const char *why)
{
	limits_give_tunnel(&e->relay->limits, &e->client);
	endpoint_close(e, why);
}

void endpoint_on_abandoned(struct timeouts *q, struct timeout *t)
{
	struct endpoint *e = container_of(t, struct endpoint, orphan);

	e->relay->orphan_count--;
	e->relay->counts.tunnels_abandoned++;
	endpoint_close_orphan(e, "its client hasn't come back");
}

void endpoint_close_orphans(struct relay *relay, const char *why)
{
	while (!list_empty(&relay->orphans.queue)) {
		struct endpoint *e =
			list_entry(list_first(&relay->orphans.queue), struct endpoint, orphan.link);

		endpoint_end_orphan(e);
		endpoint_close_orphan(e, why);
	}
}

void endpoint_release(struct endpoint *e)
{
	e->handed_over = false;
	if (e->gate == ENDPOINT_HELD)
		endpoint_set_gate(e, ENDPOINT_OPEN);
}

void endpoint_stop_listening(struct endpoint *e)
{
	listener_close(&e->listener);
	endpoint_set_gate(e, ENDPOINT_OPEN);
}

void endpoint_close(struct endpoint *e, const char *why)
{
	struct relay *relay = e->relay;

	e->session = NULL;
	relay->endpoints[e->port] = NULL;
	endpoint_stop_listening(e);
	stream_drop_waiting(e);
	relay_tell(relay,
		&(struct relay_event){
			.type = e->handed_over ? RELAY_TUNNEL_HANDED_OVER : RELAY_TUNNEL_CLOSED,
			.port = e->port,
			.addr = &e->client,
			.duration_ms = uv_now(relay->loop) - e->opened_ms,
			.why = why,
		});
	endpoint_unref(e);
}

void endpoint_relieve(struct endpoint *e)
{
	e->waiting--;
	if (e->gate == ENDPOINT_FULL)
		endpoint_set_gate(e, ENDPOINT_OPEN);
}

void endpoint_resume_queued(struct relay *relay)
{
	size_t room = relay->pending.max - relay->pending.count;

	for (; room && !list_empty(&relay->queued); room--)
		endpoint_set_gate(
			list_entry(list_first(&relay->queued), struct endpoint, queue_link),
			ENDPOINT_TURN);
}

struct endpoint *endpoint_find(const struct relay *relay, uint16_t port)
{
	return relay->endpoints[port];
}

int endpoint_renew_token(struct endpoint *e)
{
	if (getrandom(e->token, sizeof(e->token), 0) != sizeof(e->token))
		return -EIO;
	e->has_token = true;
	return 0;
}

bool endpoint_check_token(const struct endpoint *e, const uint8_t token[OPTIONS_TOKEN_LEN])
{
	volatile uint8_t difference = 0;

	for (size_t i = 0; i < OPTIONS_TOKEN_LEN; i++)
		difference |= e->token[i] ^ token[i];
	return e->has_token && difference == 0;
}

void endpoint_void_token(struct endpoint *e)
{
	e->has_token = false;
	explicit_bzero(e->token, sizeof(e->token));
}

void endpoint_ref(struct endpoint *e)
{
	e->refs++;
}

void endpoint_unref(struct endpoint *e)
{
	if (--e->refs)
		return;
	assert(!e->waiting && !e->joined && e->gate < ENDPOINT_FULL);
	e->relay->objects--;
	relay_settle(e->relay);
	free(e);
}
