/* SPDX-License-Identifier: MIT */
#include "os/conn_log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"
#include "http/json_text.h"
#include "net/flow.h"
#include "record/recorder.h"
#include "tunnel/tunnel.h"

/* The beginning of a connection is counted back from its end, and rounded to milliseconds. */
#define CONN_ROUNDING_MS 10

static const char *const conn_kind_names[] = {
	[CONN_TUNNEL] = "tunnel",
	[CONN_FORWARD] = "forward",
	[CONN_OUTWARD] = "outward",
};
static_assert(ARRAY_LEN(conn_kind_names) == CONN_KINDS, "a name for each kind");

int conn_log_init(struct conn_log *log, conn_fn changed, void *owner)
{
	*log = (struct conn_log){ .changed = changed, .owner = owner };
	log->ended = calloc(CONN_LOG_MAX, sizeof(*log->ended));
	list_init(&log->open);
	return log->ended ? 0 : -ENOMEM;
}

void conn_log_deinit(struct conn_log *log)
{
	free(log->ended);
	log->ended = NULL;
}

/* A visitor's outer end is his, and one outward has the application there. */
static void conn_set_bytes(struct conn *c, const uint64_t bytes[PUMP_SIDES])
{
	bool outward = c->kind == CONN_OUTWARD;

	c->bytes_in = bytes[outward ? PUMP_INNER : PUMP_OUTER];
	c->bytes_out = bytes[outward ? PUMP_OUTER : PUMP_INNER];
}

static void conn_set_duration(struct conn *c, uint64_t ms)
{
	c->duration_ms = ms;
	c->since_ms = clock_wall_ms() - ms;
}

/* As it is now. */
static void conn_refresh(struct conn *c)
{
	uint64_t bytes[PUMP_SIDES];

	pump_bytes(c->flow->pump, bytes);
	conn_set_bytes(c, bytes);
	conn_set_duration(c, clock_now_ms() - c->flow->since_ms);
}

/* Without randomness it stays without an id, which costs nobody a connection. */
static void conn_identify(struct conn *c)
{
	struct uuid id;

	if (!c->id[0] && uuid_random(&id) == 0)
		uuid_format(&id, c->id);
}

struct tap *conn_log_tap(struct conn_log *log, struct conn *c)
{
	struct record_origin origin = { .kind = conn_kind_names[c->kind] };

	if (!log->recorder || !recorder_is_on(log->recorder))
		return NULL;
	conn_identify(c);
	memcpy(origin.conn_id, c->id, sizeof(origin.conn_id));
	memcpy(origin.from, c->from, sizeof(origin.from));
	c->record = recorder_begin(log->recorder, &origin);
	return c->record ? record_conn_tap(c->record) : NULL;
}

void conn_log_opened(struct conn_log *log, struct conn *c, struct flow *flow)
{
	conn_identify(c);
	c->open = true;
	c->flow = flow;
	list_push_front(&log->open, &c->link);
	conn_set_duration(c, clock_now_ms() - flow->since_ms);
	log->changed(log->owner, c);
}

static void conn_log_keep(struct conn_log *log, struct conn *c, const char *why)
{
	conn_identify(c);
	c->record = record_conn_end(c->record,
		(const uint64_t[]){ [PUMP_OUTER] = c->bytes_in, [PUMP_INNER] = c->bytes_out },
		NULL);
	if (c->open)
		list_remove(&c->link);
	c->open = false;
	c->flow = NULL;
	(void)snprintf(c->why, sizeof(c->why), "%s", why);
	log->ended[log->count++ % CONN_LOG_MAX] = *c;
	log->changed(log->owner, c);
}

void conn_log_ended(struct conn_log *log, struct conn *c, const struct flow_result *result)
{
	conn_set_bytes(c, result->bytes);
	conn_set_duration(c, result->duration_ms);
	conn_log_keep(log, c, result->why);
}

void conn_log_refused(struct conn_log *log, struct conn *c, const char *why)
{
	conn_set_duration(c, 0);
	conn_log_keep(log, c, why);
}

static void conn_log_visit_ended(
	struct conn_log *log, struct conn *c, const struct tunnel_visit *visit)
{
	const struct flow_result result = {
		.why = visit->why,
		.bytes = { [PUMP_OUTER] = visit->bytes_in, [PUMP_INNER] = visit->bytes_out },
		.duration_ms = visit->duration_ms,
	};

	conn_log_ended(log, c, &result);
}

/* That of the visit, made when it is first asked for. NULL: out of memory. */
static struct conn *visit_conn(const struct tunnel_visit *visit)
{
	struct conn *c = *visit->note;

	if (c)
		return c;
	c = *visit->note = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->kind = CONN_TUNNEL;
	(void)snprintf(c->id, sizeof(c->id), "%s", visit->id);
	(void)snprintf(c->from, sizeof(c->from), "%s", visit->from ? visit->from : "");
	return c;
}

struct tap *conn_log_tap_visit(struct conn_log *log, const struct tunnel_visit *visit)
{
	struct conn *c = visit_conn(visit);

	return c ? conn_log_tap(log, c) : NULL;
}

void conn_log_visit(struct conn_log *log, const struct tunnel_visit *visit)
{
	struct conn *c = visit_conn(visit);

	if (!c)
		return;
	if (visit->opened) {
		conn_log_opened(log, c, visit->flow);
		return;
	}
	conn_log_visit_ended(log, c, visit);
	free(c);
	*visit->note = NULL;
}

int conn_log_end(struct conn_log *log, const char *id)
{
	list_for_each(pos, &log->open) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (strcmp(c->id, id) != 0)
			continue;
		flow_close(c->flow, "ended by the user");
		return 0;
	}
	for (uint64_t i = 0; i < log->count && i < CONN_LOG_MAX; i++)
		if (strcmp(log->ended[i].id, id) == 0)
			return CONN_ENDED;
	return CONN_UNKNOWN;
}

void conn_log_each(struct conn_log *log, conn_fn fn, void *owner)
{
	list_for_each(pos, &log->open) {
		struct conn *c = list_entry(pos, struct conn, link);

		conn_refresh(c);
		fn(owner, c);
	}
	for (uint64_t i = 0; i < log->count && i < CONN_LOG_MAX; i++)
		fn(owner, &log->ended[(log->count - 1 - i) % CONN_LOG_MAX]);
}

struct conn_search {
	const char *from;
	uint64_t bytes_in, since_ms;
	bool found;
};

static void conn_search(void *owner, const struct conn *c)
{
	struct conn_search *search = owner;

	if (c->kind == CONN_TUNNEL && c->since_ms + CONN_ROUNDING_MS >= search->since_ms &&
		(strcmp(c->from, search->from) == 0 || c->bytes_in == search->bytes_in))
		search->found = true;
}

bool conn_log_has_visitor(
	struct conn_log *log, const char *from, uint64_t bytes_in, uint64_t since_ms)
{
	struct conn_search search = { .from = from, .bytes_in = bytes_in, .since_ms = since_ms };

	conn_log_each(log, conn_search, &search);
	return search.found;
}

/* What a peer or the application has said may be any bytes. */
static json_t *conn_text_json(const char *text)
{
	return json_text_or_null(text[0] ? text : NULL);
}

json_t *conn_json(const struct conn *c)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:I, s:I, s:{s:I, s:I}, s:o}", "id", c->id,
		"kind", conn_kind_names[c->kind], "from", conn_text_json(c->from), "to",
		conn_text_json(c->to), "rule", conn_text_json(c->rule), "open", c->open, "since",
		(json_int_t)c->since_ms, "duration_ms", (json_int_t)c->duration_ms, "bytes", "in",
		(json_int_t)c->bytes_in, "out", (json_int_t)c->bytes_out, "end",
		c->open ? json_null() : json_text_or_null(c->why));
}
