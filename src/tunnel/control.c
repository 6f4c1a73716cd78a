/* SPDX-License-Identifier: MIT */
/*
 * The control connection. `chan` is set, and owned, between control_open() and control_close().
 *
 * Bytes become messages (control_read()), and each message a call of the owner, who may close the
 * connection from within it: so `chan` is looked at again behind every such call. The chan's own
 * callbacks may also come late, for one that was closed and perhaps followed by another, and
 * compare it with `chan` first.
 */
#include "tunnel/control.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/clock.h"
#include "base/owner.h"
#include "base/log.h"
#include "net/host.h"
#include "net/chan.h"

#define LOG "tunnel"

static void control_lost(struct control *c, const char *why)
{
	c->events.lost(c->events.owner, why);
}

static void control_send(struct control *c, const struct msg *msg)
{
	uint8_t data[MSG_WIRE_MAX];
	size_t len;

	/* Both messages that are sent here always fit. */
	if (msg_encode(c->dialect, ROLE_CLIENT, msg, data, &len) < 0)
		return;
	if (chan_write(c->chan, data, len) == 0)
		return;
	/* It was told too much without reading. The end comes as an event, not from within here. */
	log_warn(LOG, "the relay does not read what is sent to it, hanging up");
	(void)shutdown(c->chan->fd, SHUT_RDWR);
}

static void control_take_options(struct control *c, const struct options *options)
{
	c->granted = *options;
	if (options->beat_ms)
		c->beat_at_ms = clock_now_ms() + options->beat_ms;
	c->events.options(c->events.owner, options);
}

/* Where the relay names no valid address, the visitor is served all the same. */
static void control_take_visitor(struct control *c, const struct msg *msg)
{
	char text[4 * MSG_MAX + 1];
	struct addr from;
	bool known = host_parse_peer(msg->text, &from) == 0;

	if (!c->granted.visitor) {
		log_debug(LOG, "the relay sent a Visitor, which was not agreed on");
		return;
	}
	if (!known)
		log_debug(LOG, "the relay names no address of a visitor: '%s'",
			log_escape(text, sizeof(text), msg->text, msg->text_len));
	c->events.visitor(c->events.owner, &msg->id, known ? &from : NULL);
}

static void control_take(struct control *c, const struct msg *msg)
{
	char text[4 * MSG_MAX + 1]; /* each byte may be escaped */

	c->events.heard(c->events.owner);
	switch (msg->type) {
	case MSG_HEARTBEAT:
		break;
	case MSG_CONNECTION:
		c->events.visitor(c->events.owner, &msg->id, NULL);
		break;
	case MSG_VISITOR:
		control_take_visitor(c, msg);
		break;
	case MSG_OPTIONS:
		control_take_options(c, &msg->options);
		break;
	case MSG_MOVE:
		if (c->granted.move)
			c->events.moved(c->events.owner);
		break;
	case MSG_ERROR:
		/* As stock: its end decides, and follows. */
		log_escape(text, sizeof(text), msg->text, msg->text_len);
		if (episode_tells(&c->complaints, text, clock_now_ms()))
			log_warn(LOG, "the relay says: '%s'", text);
		break;
	default:
		log_debug(LOG, "the relay sent a %s without need", msg_type_name(msg->type));
	}
}

void control_read(struct control *c)
{
	struct msg msg;
	size_t used;
	int r;

	while (c->chan && buf_len(&c->chan->in)) {
		struct buf *in = &c->chan->in;

		r = msg_decode(c->dialect, ROLE_SERVER, buf_head(in), buf_len(in), &msg, &used);
		if (r == MSG_PARTIAL)
			return;
		if (r < 0) {
			control_lost(c, "the relay sent what is no message of bore");
			return;
		}
		buf_consume(in, used);
		control_take(c, &msg);
	}
}

static void control_on_data(struct chan *chan)
{
	struct control *c = chan->owner;

	if (c->chan == chan)
		control_read(c);
}

static void control_on_end(struct chan *chan, int error)
{
	struct control *c = chan->owner;

	if (c->chan == chan)
		control_lost(c, error ? uv_strerror(error) : "the relay closed the connection");
}

static void control_on_closed(struct chan *chan)
{
	struct control *c = chan->owner;

	free(chan);
	c->events.gone(c->events.owner);
}

void control_init(struct control *c, const struct control_events *events)
{
	*c = (struct control){ .events = *events, .beat_at_ms = CONTROL_NEVER };
}

void control_open(struct control *c, struct attempt_link *link)
{
	assert(!c->chan);
	c->chan = take_ptr(link->chan);
	c->dialect = link->dialect;
	c->granted = (struct options){ 0 };
	(void)episode_end(&c->complaints);
	c->beat_at_ms = CONTROL_NEVER;
	c->chan->data = control_on_data;
	c->chan->end = control_on_end;
	c->chan->closed = control_on_closed;
	c->chan->owner = c;
}

bool control_refuse(struct control *c, const struct uuid *id, const char *why)
{
	struct msg msg = { .type = MSG_REFUSE, .id = *id };

	if (!c->chan || !c->granted.refuse)
		return false;
	msg.text_len = strnlen(why, MSG_MAX);
	memcpy(msg.text, why, msg.text_len);
	control_send(c, &msg);
	return true;
}

void control_tick(struct control *c, uint64_t now_ms)
{
	if (!c->chan || now_ms < c->beat_at_ms)
		return;
	c->beat_at_ms = now_ms + c->granted.beat_ms;
	control_send(c, &(struct msg){ .type = MSG_HEARTBEAT });
}

void control_close(struct control *c)
{
	c->beat_at_ms = CONTROL_NEVER;
	if (c->chan)
		chan_close(take_ptr(c->chan), false);
}
