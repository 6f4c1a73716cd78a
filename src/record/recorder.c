/* SPDX-License-Identifier: MIT */
/*
 * A connection has two streams, and a queue of requests that are not answered yet: the response
 * that comes is the first one's. An exchange may be forgotten while it is under way, to make room;
 * its place in the queue stays, without it.
 */
#include "record/recorder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/tap.h"

const char *const exchange_state_names[] = {
	[EXCHANGE_REQUEST] = "request",
	[EXCHANGE_WAITING] = "waiting",
	[EXCHANGE_RESPONSE] = "response",
	[EXCHANGE_DONE] = "done",
	[EXCHANGE_UPGRADED] = "upgraded",
	[EXCHANGE_CUT] = "cut",
	[EXCHANGE_FOREIGN] = "foreign",
};
static_assert(ARRAY_LEN(exchange_state_names) == EXCHANGE_STATES, "a name for each state");

struct recorder {
	struct recorder_config config;
	struct tap_hub *hub;
	bool on;
	struct list exchanges; /* oldest first */
	size_t count, held;
	size_t heads;  /* bytes of those that are under way, of all connections */
	uint64_t lost; /* bytes, of the connections that have ended or were weighed */
	uint64_t last_id;
	uv_timer_t teller; /* runs while something is untold */
	unsigned handles;  /* to be closed: the hub's, and that */
	void (*closed)(void *owner);
	void *closed_owner;
};

/* A request that has begun. */
struct record_place {
	struct exchange *exchange; /* NULL: forgotten */
	bool head_only, connect;   /* its method is HEAD, or CONNECT */
};

struct record_conn {
	struct recorder *recorder;
	struct record_origin origin;
	struct tap *tap;
	struct http_stream_events events[PUMP_SIDES];
	struct http_stream stream[PUMP_SIDES]; /* the outer one says requests */
	struct record_place places[RECORDER_PIPELINE_MAX];
	unsigned first, count; /* of `places`, a ring; the last one may still be under way */
	bool interim;          /* the response that is under way is one of 1xx */
	bool unasked;          /* a response has come to no request */
	bool upgrades;         /* one has made something else of it */
	bool given_up;
	struct exchange *rest; /* stands for what comes behind; NULL: nothing does, or forgotten */
	uint64_t last_id;      /* of its last exchange */
	uint64_t begun_us, now_us; /* now: when what is being read has come */
	size_t heads;              /* bytes of those that are under way */
};

/* --- exchanges --- */

static size_t exchange_held(const struct exchange *e)
{
	return sizeof(*e) + e->request.head.cap + e->request.body.cap + e->response.head.cap +
	       e->response.body.cap;
}

static void exchange_free(struct exchange *e)
{
	http_message_deinit(&e->request);
	http_message_deinit(&e->response);
	free(e);
}

/* Nothing follows of it. */
static void exchange_detach(struct exchange *e)
{
	struct record_conn *c = take_ptr(e->conn);

	if (!c)
		return;
	for (unsigned i = 0; i < c->count; i++) {
		struct record_place *p = &c->places[(c->first + i) % RECORDER_PIPELINE_MAX];

		if (p->exchange == e)
			p->exchange = NULL;
	}
	if (c->rest == e)
		c->rest = NULL;
	for (int side = 0; side < PUMP_SIDES; side++)
		if (c->stream[side].message == &e->request ||
			c->stream[side].message == &e->response)
			http_stream_leave(&c->stream[side]);
}

static void recorder_forget(struct recorder *r, struct exchange *e)
{
	exchange_detach(e);
	list_remove(&e->link);
	r->count--;
	r->held -= e->held;
	exchange_free(e);
}

/* The newest one stays. */
static void recorder_make_room(struct recorder *r)
{
	while (r->count > RECORDER_EXCHANGES_MAX || (r->held > RECORDER_BYTES_MAX && r->count > 1))
		recorder_forget(r, list_entry(list_first(&r->exchanges), struct exchange, link));
}

static void recorder_tell(uv_timer_t *timer)
{
	struct recorder *r = timer->data;

	list_for_each(link, &r->exchanges) {
		struct exchange *e = list_entry(link, struct exchange, link);

		if (e->untold)
			r->config.changed(r->config.owner, e);
		e->untold = false;
	}
}

static void exchange_weigh(struct recorder *r, struct exchange *e)
{
	r->held -= e->held;
	e->held = exchange_held(e);
	r->held += e->held;
}

/* It has got further. */
static void exchange_changed(struct recorder *r, struct exchange *e)
{
	exchange_weigh(r, e);
	e->untold = true;
	if (!uv_is_active((uv_handle_t *)&r->teller))
		(void)uv_timer_start(&r->teller, recorder_tell, RECORDER_TELL_MS, 0);
}

static struct exchange *exchange_new(
	struct record_conn *c, enum exchange_state state, uint64_t begun_us)
{
	struct recorder *r = c->recorder;
	struct exchange *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	http_message_init(&e->request);
	http_message_init(&e->response);
	e->id = c->last_id = ++r->last_id;
	e->state = state;
	e->origin = c->origin;
	e->conn = c;
	e->begun_us = begun_us;
	e->since_ms = clock_wall_ms() - (clock_now_us() - begun_us) / 1000;
	list_push_back(&r->exchanges, &e->link);
	r->count++;
	recorder_make_room(r);
	return e;
}

static void exchange_end(struct exchange *e, enum exchange_state state, const char *why)
{
	struct record_conn *c = e->conn;

	e->state = state;
	e->why = why;
	e->duration_us = c->now_us - e->begun_us;
	exchange_detach(e);
	exchange_changed(c->recorder, e);
}

/* --- a connection --- */

static struct record_place *conn_newest(struct record_conn *c)
{
	return &c->places[(c->first + c->count - 1) % RECORDER_PIPELINE_MAX];
}

/* Nothing more is read of it. What is under way ends as it is. */
static void conn_give_up(struct record_conn *c, const char *why)
{
	c->given_up = true;
	c->recorder->heads -= c->heads;
	c->heads = 0;
	for (int side = 0; side < PUMP_SIDES; side++) {
		tap_skip(c->tap, (enum pump_side)side, TAP_ALL);
		http_stream_deinit(&c->stream[side]);
	}
	for (; c->count > 0; c->count--) {
		struct exchange *e = c->places[c->first].exchange;

		if (e)
			exchange_end(e, EXCHANGE_CUT, why);
		c->first = (c->first + 1) % RECORDER_PIPELINE_MAX;
	}
}

/* That one stands for all that comes now, until the connection's end. */
static void conn_rest_is(
	struct record_conn *c, struct exchange *e, enum exchange_state state, const char *why)
{
	c->rest = e;
	if (!e)
		return;
	e->state = state;
	e->why = why;
	exchange_changed(c->recorder, e);
}

static void conn_is_foreign(struct record_conn *c, const char *why)
{
	uint64_t begun_us = c->last_id ? c->now_us : c->begun_us;

	conn_rest_is(c, exchange_new(c, EXCHANGE_FOREIGN, begun_us), EXCHANGE_FOREIGN, why);
}

/* The first request's answer has made something else of it. */
static void conn_is_upgraded(struct record_conn *c)
{
	struct exchange *e = c->places[c->first].exchange;

	c->first = (c->first + 1) % RECORDER_PIPELINE_MAX;
	c->count--;
	conn_rest_is(c, e, EXCHANGE_UPGRADED, NULL);
}

/* --- requests --- */

static struct http_message *on_request_begun(void *owner)
{
	struct record_conn *c = owner;
	struct exchange *e;

	/* conn_settle() gives it up. */
	if (c->count == RECORDER_PIPELINE_MAX)
		return NULL;
	e = exchange_new(c, EXCHANGE_REQUEST, c->now_us);
	c->count++;
	*conn_newest(c) = (struct record_place){ .exchange = e };
	return e ? &e->request : NULL;
}

static bool head_begins(const struct buf *head, const char *word)
{
	return buf_len(head) >= strlen(word) && memcmp(buf_head(head), word, strlen(word)) == 0;
}

static enum http_body on_request_headed(void *owner, const struct buf *head)
{
	struct record_conn *c = owner;
	struct record_place *p = conn_newest(c);

	p->head_only = head_begins(head, "HEAD ");
	p->connect = head_begins(head, "CONNECT ");
	if (p->exchange) {
		(void)buf_append(&p->exchange->request.head, buf_head(head), buf_len(head));
		exchange_changed(c->recorder, p->exchange);
	}
	return HTTP_BODY_FRAMED;
}

static void on_request_ended(void *owner)
{
	struct record_conn *c = owner;
	struct exchange *e = c->count ? conn_newest(c)->exchange : NULL;

	/* It may have been answered already. */
	if (!e || !e->request.whole || e->sent_us)
		return;
	e->sent_us = c->now_us - e->begun_us;
	if (e->state == EXCHANGE_REQUEST)
		e->state = EXCHANGE_WAITING;
	exchange_changed(c->recorder, e);
}

/* --- responses --- */

static struct http_message *on_response_begun(void *owner)
{
	struct record_conn *c = owner;
	struct exchange *e = c->count ? c->places[c->first].exchange : NULL;

	return e ? &e->response : NULL;
}

/* "HTTP/1.1 200" */
static unsigned status_of(const struct buf *head)
{
	const uint8_t *digits = buf_head(head) + strlen("HTTP/1.1 ");

	return (unsigned)(digits[0] - '0') * 100 + (unsigned)(digits[1] - '0') * 10 +
	       (unsigned)(digits[2] - '0');
}

static enum http_body response_body(const struct record_place *p, unsigned status)
{
	if (status == 101 || (p->connect && status / 100 == 2))
		return HTTP_BODY_FOREIGN;
	if (status / 100 == 1 || status == 204 || status == 304 || p->head_only)
		return HTTP_BODY_NONE;
	return HTTP_BODY_FRAMED;
}

static enum http_body on_response_headed(void *owner, const struct buf *head)
{
	struct record_conn *c = owner;
	struct record_place *p = &c->places[c->first];
	unsigned status = status_of(head);
	struct exchange *e;

	c->unasked = !c->count;
	if (c->unasked)
		return HTTP_BODY_FOREIGN;
	c->interim = status / 100 == 1 && status != 101;
	c->upgrades = response_body(p, status) == HTTP_BODY_FOREIGN;
	e = p->exchange;
	if (e && !c->interim) {
		e->status = status;
		e->first_byte_us = c->now_us - e->begun_us;
		e->state = EXCHANGE_RESPONSE;
		(void)buf_append(&e->response.head, buf_head(head), buf_len(head));
		exchange_changed(c->recorder, e);
	}
	return response_body(p, status);
}

static void on_response_ended(void *owner)
{
	struct record_conn *c = owner;
	struct exchange *e = c->places[c->first].exchange;

	if (c->interim) {
		if (e)
			e->response.whole = false;
		return;
	}
	/* It was answered before all of it was there: the rest is read, and nowhere kept. */
	if (e)
		exchange_end(e, EXCHANGE_DONE, NULL);
	c->first = (c->first + 1) % RECORDER_PIPELINE_MAX;
	c->count--;
}

/* --- reading --- */

/* Why it can't be followed any more. NULL: it can. */
static const char *conn_lost(const struct record_conn *c)
{
	for (int side = 0; side < PUMP_SIDES; side++)
		if (c->stream[side].state == HTTP_STREAM_LOST)
			return c->stream[side].why;
	if (c->count == RECORDER_PIPELINE_MAX)
		return "too many requests wait for their answers";
	return c->heads && c->recorder->heads > RECORDER_HEADS_MAX ? "too many heads are under way"
								   : NULL;
}

/* What its streams lack counts from now on. */
static void conn_count_lost(struct record_conn *c)
{
	for (int side = 0; side < PUMP_SIDES; side++) {
		c->recorder->lost += c->stream[side].lacking;
		c->stream[side].lacking = 0;
	}
}

/* Bytes of bodies and heads come without an event. */
static void conn_weigh(struct record_conn *c)
{
	struct recorder *r = c->recorder;
	struct exchange *first = c->count ? c->places[c->first].exchange : NULL;
	struct exchange *newest = c->count ? conn_newest(c)->exchange : NULL;

	r->heads -= c->heads;
	c->heads = buf_len(&c->stream[PUMP_OUTER].head) + buf_len(&c->stream[PUMP_INNER].head);
	r->heads += c->heads;
	conn_count_lost(c);
	if (first)
		exchange_weigh(r, first);
	if (newest)
		exchange_weigh(r, newest);
	recorder_make_room(r);
}

/* After each read: whether it can still be followed, and what isn't wanted of the next one. */
static void conn_settle(struct record_conn *c)
{
	const char *lost = conn_lost(c);
	bool answers_foreign = c->stream[PUMP_INNER].state == HTTP_STREAM_FOREIGN;

	if (c->upgrades)
		conn_is_upgraded(c);
	else if (lost && !c->count)
		conn_is_foreign(c, lost);
	else if (!c->count && c->unasked)
		conn_is_foreign(c, "an answer came that nobody had asked for");
	else if (!c->count &&
		 (answers_foreign || c->stream[PUMP_OUTER].state == HTTP_STREAM_FOREIGN))
		conn_is_foreign(c, "it is no HTTP/1");
	if (lost || answers_foreign || c->rest) {
		conn_give_up(c, lost          ? lost
				: c->upgrades ? "the connection has become something else before"
					      : "its answer is no HTTP/1");
		return;
	}
	for (int side = 0; side < PUMP_SIDES; side++)
		tap_skip(c->tap, (enum pump_side)side, http_stream_unwanted(&c->stream[side]));
}

static void on_took(void *owner, const struct tap_chunk *chunk)
{
	struct record_conn *c = owner;
	struct http_stream *s = &c->stream[chunk->side];

	/* What was on its way when it was given up. */
	if (c->given_up)
		return;
	c->now_us = chunk->time_us;
	if (chunk->end)
		http_stream_end(s, chunk->offset);
	else
		http_stream_read(s, chunk->offset, chunk->data, chunk->len);
	conn_weigh(c);
	conn_settle(c);
}

/* --- public --- */

static const struct http_stream_events request_events = {
	.begun = on_request_begun, .headed = on_request_headed, .ended = on_request_ended
};
static const struct http_stream_events response_events = {
	.begun = on_response_begun, .headed = on_response_headed, .ended = on_response_ended
};

struct record_conn *recorder_begin(struct recorder *r, const struct record_origin *origin)
{
	struct record_conn *c = r->on || origin->replay_of ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->tap = tap_new(r->hub, c);
	if (!c->tap) {
		free(c);
		return NULL;
	}
	c->recorder = r;
	c->origin = *origin;
	c->begun_us = clock_now_us();
	c->events[PUMP_OUTER] = request_events;
	c->events[PUMP_INNER] = response_events;
	for (int side = 0; side < PUMP_SIDES; side++) {
		c->events[side].owner = c;
		http_stream_init(&c->stream[side], &c->events[side], side == PUMP_INNER);
	}
	return c;
}

struct tap *record_conn_tap(const struct record_conn *c)
{
	return c->tap;
}

void record_conn_said(struct record_conn *c, enum pump_side side, const void *data, size_t len)
{
	if (len > 0)
		tap_put(c->tap, side, data, len);
	else
		tap_put_end(c->tap, side);
	tap_hub_drain(c->recorder->hub);
}

uint64_t record_conn_exchange(const struct record_conn *c)
{
	return c->last_id;
}

/* The exchange that stands for the rest of it. */
static void conn_end_rest(struct record_conn *c, const uint64_t bytes[PUMP_SIDES])
{
	struct exchange *e = c->rest;

	for (int side = 0; e && side < PUMP_SIDES; side++)
		e->bytes[side] = bytes[side] - min_u64(bytes[side], c->stream[side].ended);
	if (e)
		exchange_end(e, e->state, e->why);
}

/* Bytes behind which nothing has come any more, as before a reset, show in no offset. */
static void conn_see_last_gap(struct record_conn *c, const uint64_t bytes[PUMP_SIDES])
{
	for (int side = 0; side < PUMP_SIDES; side++)
		if (!c->given_up && bytes[side] > c->stream[side].offset)
			http_stream_read(&c->stream[side], bytes[side], NULL, 0);
	conn_count_lost(c);
}

struct record_conn *record_conn_end(
	struct record_conn *c, const uint64_t bytes[PUMP_SIDES], const char *why)
{
	if (!c)
		return NULL;
	tap_hub_drain(c->recorder->hub);
	c->now_us = clock_now_us();
	conn_see_last_gap(c, bytes);
	if (!c->last_id && bytes[PUMP_OUTER] + bytes[PUMP_INNER] > 0)
		conn_is_foreign(c, "it has ended before its first request was whole");
	conn_give_up(c, why ? why : "the connection has ended before");
	conn_end_rest(c, bytes);
	c->tap = tap_release(c->tap);
	free(c);
	return NULL;
}

void recorder_set_on(struct recorder *r, bool on)
{
	r->on = on;
}

bool recorder_is_on(const struct recorder *r)
{
	return r->on;
}

void recorder_each(
	struct recorder *r, void (*fn)(void *owner, const struct exchange *e), void *owner)
{
	tap_hub_drain(r->hub);
	list_for_each(link, &r->exchanges)
		fn(owner, list_entry(link, struct exchange, link));
}

const struct exchange *recorder_find(struct recorder *r, uint64_t id)
{
	tap_hub_drain(r->hub);
	list_for_each(link, &r->exchanges) {
		const struct exchange *e = list_entry(link, struct exchange, link);

		if (e->id == id)
			return e;
	}
	return NULL;
}

void recorder_clear(struct recorder *r)
{
	struct list *first;

	tap_hub_drain(r->hub);
	while ((first = list_first(&r->exchanges)))
		recorder_forget(r, list_entry(first, struct exchange, link));
}

uint64_t recorder_lost(const struct recorder *r)
{
	return r->lost;
}

int recorder_new(const struct recorder_config *config, struct recorder **ret_recorder)
{
	struct recorder *r = calloc(1, sizeof(*r));
	const struct tap_hub_config hub = {
		.loop = config->loop,
		.max_bytes = RECORDER_WAITING_MAX,
		.max_each = RECORDER_WAITING_EACH,
		.took = on_took,
	};
	int result = r ? tap_hub_new(&hub, &r->hub) : -ENOMEM;

	if (result < 0) {
		free(r);
		return result;
	}
	r->config = *config;
	list_init(&r->exchanges);
	(void)uv_timer_init(config->loop, &r->teller);
	r->teller.data = r;
	r->handles = 2;
	*ret_recorder = r;
	return 0;
}

static void recorder_on_part_closed(void *owner)
{
	struct recorder *r = owner;
	void (*closed)(void *owner) = r->closed;
	void *closed_owner = r->closed_owner;

	if (--r->handles)
		return;
	free(r);
	closed(closed_owner);
}

static void recorder_on_teller_closed(uv_handle_t *handle)
{
	recorder_on_part_closed(handle->data);
}

void recorder_close(struct recorder *r, void (*closed)(void *owner), void *owner)
{
	r->closed = closed;
	r->closed_owner = owner;
	recorder_clear(r);
	uv_close((uv_handle_t *)&r->teller, recorder_on_teller_closed);
	tap_hub_close(r->hub, recorder_on_part_closed, r);
}
