/* SPDX-License-Identifier: MIT */
/*
 * The recorder: what visitors ask and the application answers, seen in passing. While it is on,
 * each connection that begins gets a tap (net/tap.h), and the messages of HTTP/1 in it become
 * exchanges: a request and its response. The last ones are kept, in memory alone, bounded twice. It
 * never changes, delays or stops a byte; what it can't follow it leaves out, and says so.
 *
 * All of it is for the loop's thread.
 */
#ifndef RECORD_RECORDER_H
#define RECORD_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "base/uuid.h"
#include "net/addr.h"
#include "net/pump_pool.h"
#include "record/http_stream.h"

#define RECORDER_EXCHANGES_MAX 200
#define RECORDER_BYTES_MAX (16U * 1024 * 1024)   /* of all exchanges */
#define RECORDER_WAITING_MAX (8U * 1024 * 1024)  /* seen, and not yet read */
#define RECORDER_WAITING_EACH (2U * 1024 * 1024) /* of one connection */
#define RECORDER_HEADS_MAX (8U * 1024 * 1024)    /* of all heads that are not whole yet */
#define RECORDER_PIPELINE_MAX 64 /* requests of a connection without an answer; then it is lost */
#define RECORDER_TELL_MS 50      /* what has changed is told so often */

struct recorder;
struct record_conn;
struct tap;

enum exchange_state {
	EXCHANGE_REQUEST,  /* is being sent */
	EXCHANGE_WAITING,  /* for the response */
	EXCHANGE_RESPONSE, /* is being sent */
	EXCHANGE_DONE,     /* both are whole */
	EXCHANGE_UPGRADED, /* the response has made something else of the connection */
	EXCHANGE_CUT,      /* the connection has ended, or couldn't be followed, before */
	EXCHANGE_FOREIGN,  /* it stands for what the connection is beside HTTP/1, or unread */
	EXCHANGE_STATES,
};

/* Whose connection it is. */
struct record_origin {
	const char *kind;                /* a constant: "tunnel", "forward", "replay" */
	char conn_id[UUID_TEXT_LEN + 1]; /* as in the log of connections; "": none */
	char from[ADDR_TEXT_MAX];        /* "": not known */
	uint64_t replay_of;              /* the id of the exchange that it repeats; 0: none */
};

struct exchange {
	uint64_t id; /* from 1 on, never used again */
	enum exchange_state state;
	struct record_origin origin;
	struct http_message request, response; /* without a head: not there yet */
	unsigned status;                       /* of the response; 0: none yet */
	uint64_t since_ms;                     /* wall clock */
	/* From the request's first byte to: its end, the response's head (of `status`), the end. */
	uint64_t sent_us, first_byte_us, duration_us;
	/* Upgraded or foreign, once the connection has ended: what either side has said beside
	 * messages. */
	uint64_t bytes[PUMP_SIDES];
	const char *why; /* it is cut or foreign: a constant */

	/* The recorder's. */
	struct list link;
	struct record_conn *conn; /* NULL: nothing follows, and its duration is known */
	uint64_t begun_us;        /* monotonic */
	size_t held;              /* bytes that it counts for */
	bool untold;              /* it has changed since `changed` was called */
};

/* The words of the API, by number. */
extern const char *const exchange_state_names[];

struct recorder_config {
	uv_loop_t *loop;
	/* An exchange is new, or has got further; may come many times for one, and is told of
	 * each RECORDER_TELL_MS at most: under load the loop has more to do. */
	void (*changed)(void *owner, const struct exchange *e);
	void *owner;
};

/* Off at first. 0 or a negative errno. */
int recorder_new(const struct recorder_config *config, struct recorder **ret_recorder);
/* When all connections have ended. `closed` is the last call, never from within. */
void recorder_close(struct recorder *r, void (*closed)(void *owner), void *owner);

/* Connections that begin from now on are recorded, or not any more. */
void recorder_set_on(struct recorder *r, bool on);
bool recorder_is_on(const struct recorder *r);

/* NULL: it is off (and the connection no replay), or there is no memory: it goes unseen. */
struct record_conn *recorder_begin(struct recorder *r, const struct record_origin *origin);
/* For its pump; borrowed. */
struct tap *record_conn_tap(const struct record_conn *c);
/* In place of a pump, from the loop's thread: what a side says; `len` 0: its end. */
void record_conn_said(struct record_conn *c, enum pump_side side, const void *data, size_t len);
/* The exchange that its last request has begun, by its id; 0: none. */
uint64_t record_conn_exchange(const struct record_conn *c);
/* Its pump is done, and has moved so many bytes. `why`, a constant, is that of exchanges that are
 * cut by it; NULL: the connection's end. NULL is fine. Returns NULL. */
struct record_conn *record_conn_end(
	struct record_conn *c, const uint64_t bytes[PUMP_SIDES], const char *why);

/* Oldest first, borrowed for the turn. All three know what has passed; not within `changed`. */
void recorder_each(
	struct recorder *r, void (*fn)(void *owner, const struct exchange *e), void *owner);
const struct exchange *recorder_find(struct recorder *r, uint64_t id);
void recorder_clear(struct recorder *r);

/* What all streams were `lacking` since the start, in bytes: see struct http_stream. */
uint64_t recorder_lost(const struct recorder *r);

#endif
