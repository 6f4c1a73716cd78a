/* SPDX-License-Identifier: MIT */
/*
 * The hand-over, from the side of the relay that gives. At most one relay asks at a time:
 *
 *   LISTENING ─ another relay connects ─▶ ASKED ─ GIVE ─▶ QUIETING ─ quiet ─▶ GIVING ─ TAKEN ─▶
 * GIVEN ▲                                   │                │                   │ └─────────────
 * its end, its silence, what is no word of it ──────────────┘
 *
 * QUIETING: public ports leave their visitors in the kernel's queue (relay->holding), until all who
 * were announced have been claimed: their data connections come to the control port, where the next
 * relay would know nothing of them. Then the control port is held as well, until each handshake on
 * it has come to its end. So nothing is under way that would have to be told. It waits no longer
 * than HANDOVER_QUIET_MS; who isn't served by then is lost, as by a restart.
 *
 * GIVING hands out copies. Until TAKEN everything can be taken back, and is, when the next relay
 * ends or says nothing more: what was held is accepted again.
 *
 * GIVEN: the relay drains (relay.c), with its ports in other hands.
 */
#include "relay/handover.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "relay/endpoint.h"
#include "relay/handover_wire.h"
#include "relay/relay_internal.h"

enum handover_state {
	HANDOVER_LISTENING,
	HANDOVER_ASKED,    /* HANDOVER_STEP_MS */
	HANDOVER_QUIETING, /* HANDOVER_QUIET_MS */
	HANDOVER_GIVING,   /* HANDOVER_STEP_MS */
	HANDOVER_GIVEN,    /* for good */
	HANDOVER_STATES,
};

struct handover {
	struct relay *relay;
	enum handover_state state;
	struct sockaddr_un addr;
	int fd;        /* listens; -1: no more */
	int peer;      /* the next relay, or -1 */
	uint32_t next; /* the port from which on endpoints are still to be given */
	bool control_given;
	uv_poll_t poll, peer_poll;
	uv_timer_t deadline;
	unsigned handles; /* of poll, deadline and each peer_poll: not yet closed */
};

static const char *const handover_state_names[] = {
	[HANDOVER_LISTENING] = "listening",
	[HANDOVER_ASKED] = "asked",
	[HANDOVER_QUIETING] = "quieting",
	[HANDOVER_GIVING] = "giving",
	[HANDOVER_GIVEN] = "given",
};
static_assert(ARRAY_LEN(handover_state_names) == HANDOVER_STATES, "a name for each state");

static const bool handover_edges[HANDOVER_STATES][HANDOVER_STATES] = {
	[HANDOVER_LISTENING] = { [HANDOVER_ASKED] = true },
	[HANDOVER_ASKED] = { [HANDOVER_QUIETING] = true, [HANDOVER_LISTENING] = true },
	[HANDOVER_QUIETING] = { [HANDOVER_GIVING] = true, [HANDOVER_LISTENING] = true },
	[HANDOVER_GIVING] = { [HANDOVER_GIVEN] = true, [HANDOVER_LISTENING] = true },
};

static const uint64_t handover_deadlines_ms[HANDOVER_STATES] = {
	[HANDOVER_ASKED] = HANDOVER_STEP_MS,
	[HANDOVER_QUIETING] = HANDOVER_QUIET_MS,
	[HANDOVER_GIVING] = HANDOVER_STEP_MS,
};

static void handover_on_deadline(uv_timer_t *timer);

static void handover_set_state(struct handover *h, enum handover_state state, const char *cause)
{
	assert(handover_edges[h->state][state]);
	log_debug("handover", "%s -> %s (%s)", handover_state_names[h->state],
		handover_state_names[state], cause);
	h->state = state;
	(void)uv_timer_stop(&h->deadline);
	if (handover_deadlines_ms[state])
		(void)uv_timer_start(
			&h->deadline, handover_on_deadline, handover_deadlines_ms[state], 0);
}

/* --- the end --- */

static void handover_on_handle_closed(uv_handle_t *handle)
{
	struct handover *h = handle->data;
	struct relay *relay = h->relay;

	if (--h->handles)
		return;
	free(h);
	relay->objects--;
	relay_settle(relay);
}

static void handover_drop_peer(struct handover *h)
{
	if (h->peer < 0)
		return;
	uv_close((uv_handle_t *)&h->peer_poll, handover_on_handle_closed);
	h->peer = fd_close(h->peer);
}

static void handover_stop_listening(struct handover *h)
{
	if (h->fd < 0)
		return;
	uv_close((uv_handle_t *)&h->poll, handover_on_handle_closed);
	h->fd = fd_close(h->fd);
}

static void handover_abort(struct handover *h, const char *why)
{
	struct relay *relay = h->relay;

	handover_drop_peer(h);
	handover_set_state(h, HANDOVER_LISTENING, why);
	relay_release(relay);
	log_warn("handover", "the next relay hasn't taken over, this one goes on: %s", why);
}

/* --- giving --- */

static void handover_add(struct handover_batch *batch, const struct handover_item *item, int fd)
{
	batch->items[batch->count] = *item;
	batch->fds[batch->count] = fd;
	batch->count++;
}

/* A client that can't resume would not come back to it: such a tunnel ends here. */
static void handover_add_endpoint(
	struct handover *h, struct endpoint *e, struct handover_batch *batch)
{
	struct handover_item item = {
		.client = e->client,
		.age_ms = uv_now(h->relay->loop) - e->opened_ms,
	};

	if (!e->has_token)
		return;
	memcpy(item.token, e->token, sizeof(item.token));
	handover_add(batch, &item, e->listener.fd);
	e->handed_over = true;
}

static int handover_give(struct handover *h)
{
	struct relay *relay = h->relay;
	struct handover_batch batch = { .version = HANDOVER_VERSION };

	if (!h->control_given)
		handover_add(&batch, &(struct handover_item){ .control = 1 }, relay->listener.fd);
	h->control_given = true;
	for (; h->next <= UINT16_MAX && batch.count < HANDOVER_ITEMS_MAX; h->next++)
		if (relay->endpoints[h->next])
			handover_add_endpoint(h, relay->endpoints[h->next], &batch);
	return handover_wire_send_batch(h->peer, &batch);
}

static void handover_begin_giving(struct handover *h, const char *cause)
{
	int r;

	relay_hold_control(h->relay);
	handover_set_state(h, HANDOVER_GIVING, cause);
	h->next = 0;
	h->control_given = false;
	r = handover_give(h);
	if (r < 0)
		handover_abort(h, strerror(-r));
}

void handover_turn(struct handover *h)
{
	struct relay *relay = h ? h->relay : NULL;

	if (!h || h->state != HANDOVER_QUIETING || relay->pending.count)
		return;
	relay_hold_control(relay);
	if (!relay->greeting_count)
		handover_begin_giving(h, "nothing is under way");
}

static void handover_on_deadline(uv_timer_t *timer)
{
	struct handover *h = timer->data;

	if (h->state == HANDOVER_QUIETING)
		handover_begin_giving(h, "what is under way takes too long");
	else
		handover_abort(h, "it says nothing more");
}

/* --- the next relay's words --- */

/* The answer is the last thing: the relay may have drained, and this be closed, within. */
static void handover_take_given(struct handover *h)
{
	const struct handover_batch none = { .version = HANDOVER_VERSION };
	_cleanup_(fd_closep) int peer = -1;

	uv_close((uv_handle_t *)&h->peer_poll, handover_on_handle_closed);
	peer = take_fd(&h->peer);
	handover_set_state(h, HANDOVER_GIVEN, "taken");
	handover_stop_listening(h);
	relay_handed_over(h->relay);
	(void)handover_wire_send_batch(peer, &none);
}

static void handover_on_word(uv_poll_t *poll, int status, int events)
{
	struct handover *h = poll->data;
	enum handover_word word = HANDOVER_GIVE;
	int r = handover_wire_receive_ask(h->peer, &word);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r == 0 && word == HANDOVER_GIVE && h->state == HANDOVER_ASKED) {
		relay_hold(h->relay);
		handover_set_state(h, HANDOVER_QUIETING, "the next relay asks");
		handover_turn(h);
		return;
	}
	if (r == 0 && word == HANDOVER_TAKEN && h->state == HANDOVER_GIVING) {
		handover_take_given(h);
		return;
	}
	if (r == 0)
		r = h->state == HANDOVER_GIVING ? handover_give(h) : -EPROTO;
	if (r < 0)
		handover_abort(h, r == -ECONNRESET ? "it has ended" : strerror(-r));
}

static void handover_on_connection(uv_poll_t *poll, int status, int events)
{
	struct handover *h = poll->data;
	_cleanup_(fd_closep) int fd = -1;
	int r;

	/* The handle of the last peer is not gone yet. */
	if (h->state == HANDOVER_LISTENING && h->handles > 2)
		return;
	fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 || h->state != HANDOVER_LISTENING || h->relay->phase != RELAY_PHASE_SERVING)
		return;
	r = handover_wire_check_peer(fd);
	if (r == 0)
		r = uv_poll_init(h->relay->loop, &h->peer_poll, fd);
	if (r < 0) {
		log_warn("handover", "another process asked for the ports, and got none: %s",
			strerror(-r));
		return;
	}
	h->handles++;
	h->peer = take_fd(&fd);
	h->peer_poll.data = h;
	(void)uv_poll_start(&h->peer_poll, UV_READABLE, handover_on_word);
	handover_set_state(h, HANDOVER_ASKED, "another relay is there");
}

/* --- public --- */

/* The mode is the socket's when the file is made, so that there is no moment in which everybody
 * could connect (unix_bind() in the kernel takes it over). */
static int handover_listen(const struct sockaddr_un *addr, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	struct stat st;
	int r = handover_wire_socket(SOCK_NONBLOCK, &fd);

	if (r < 0)
		return r;
	if (lstat(addr->sun_path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		if (unlink(addr->sun_path) < 0)
			return -errno;
	}
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 ||
		bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 || listen(fd, 1) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int handover_open(struct relay *relay, const char *path, struct handover **ret_handover)
{
	struct handover *h = calloc(1, sizeof(*h));
	int r = h ? handover_wire_address(path, &h->addr) : -ENOMEM;

	if (r == 0)
		r = handover_listen(&h->addr, &h->fd);
	if (r == 0) {
		r = uv_poll_init(relay->loop, &h->poll, h->fd);
		if (r < 0)
			(void)fd_close(h->fd);
	}
	if (r < 0) {
		free(h);
		return r;
	}
	h->relay = relay;
	h->peer = -1;
	(void)uv_timer_init(relay->loop, &h->deadline);
	h->handles = 2;
	h->poll.data = h->deadline.data = h;
	(void)uv_poll_start(&h->poll, UV_READABLE, handover_on_connection);
	relay->objects++;
	*ret_handover = h;
	return 0;
}

struct handover *handover_close(struct handover *h)
{
	if (!h)
		return NULL;
	if (h->state != HANDOVER_GIVEN)
		(void)unlink(h->addr.sun_path);
	handover_stop_listening(h);
	handover_drop_peer(h);
	uv_close((uv_handle_t *)&h->deadline, handover_on_handle_closed);
	return NULL;
}
