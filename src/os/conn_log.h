/* SPDX-License-Identifier: MIT */
/*
 * The application's connections in one log: visitors through the tunnel and through the forwards,
 * and its own attempts outward. The open ones stand in it as they are now, and of the closed ones
 * the last CONN_LOG_MAX. Each is told when it is opened and when it has ended, and its end is a
 * line of --connection-log, too (os/conn_file.h).
 */
#ifndef OS_CONN_LOG_H
#define OS_CONN_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/uuid.h"
#include "net/addr.h"
#include "policy/destination.h"
#include "policy/net_rule.h"

#define CONN_LOG_MAX 1000
#define CONN_WHY_MAX 384 /* of a refusal with the rule that would help, for the longest name */

struct flow;
struct flow_result;
struct record_conn;
struct recorder;
struct tap;
struct tunnel_visit;

enum conn_kind {
	CONN_TUNNEL,  /* a visitor of the tunnel */
	CONN_FORWARD, /* of a forward */
	CONN_OUTWARD, /* the application's own */
	CONN_KINDS,
};

/* Embedded in what has the connection. All zero before; the owner sets the first members. */
struct conn {
	enum conn_kind kind;
	char id[UUID_TEXT_LEN + 1];    /* "": it gets one */
	char from[ADDR_TEXT_MAX];      /* "ip:port"; "": not known, or the application itself */
	char to[DESTINATION_TEXT_MAX]; /* what was asked for: "name:port"; "": the tunnel's */
	char rule[NET_RULE_TEXT_MAX];  /* of the policy that decided, as written; "": none */
	/* The log's. */
	char why[CONN_WHY_MAX]; /* how it ended */
	bool open;
	uint64_t since_ms, duration_ms; /* since_ms: of the wall's clock */
	uint64_t bytes_in, bytes_out;   /* towards the application, and from it */
	struct flow *flow;              /* while it is open; not owned */
	struct record_conn *record;     /* NULL: nobody looks on */
	struct list link;
};

typedef void (*conn_fn)(void *owner, const struct conn *conn);

struct conn_log {
	struct conn *ended; /* owned; a ring of CONN_LOG_MAX, its newest entry before `count` */
	uint64_t count;     /* that have ended */
	struct list open;   /* the latest first */
	struct recorder *recorder; /* set by the owner; NULL: none. Outlives the log */
	conn_fn changed;           /* one was opened, or has ended */
	void *owner;
};

/* 0 or -ENOMEM. */
int conn_log_init(struct conn_log *log, conn_fn changed, void *owner);
void conn_log_deinit(struct conn_log *log);

/* Right before it is opened: has the recorder look on, if that is on. Of the flow's kind. */
struct tap *conn_log_tap(struct conn_log *log, struct conn *conn);

/* The flow is FLOW_OPEN. `conn` stays where it is until conn_log_ended(). */
void conn_log_opened(struct conn_log *log, struct conn *conn, struct flow *flow);

/* From the flow's `closed`, whether it was ever open or not. `conn` is the owner's again. */
void conn_log_ended(struct conn_log *log, struct conn *conn, const struct flow_result *result);

/* It was never to be a flow, for that reason: refused by the policy, over a limit, or in want of
 * what it takes. */
void conn_log_refused(struct conn_log *log, struct conn *conn, const char *why);

/* Do all of that for a visitor of the tunnel, as told by it. */
struct tap *conn_log_tap_visit(struct conn_log *log, const struct tunnel_visit *visit);
void conn_log_visit(struct conn_log *log, const struct tunnel_visit *visit);

/* Ends an open one: both of its sides are reset, and conn_log_ended() follows. */
enum conn_end_condition {
	CONN_ENDED = 1, /* it has ended already */
	CONN_UNKNOWN,   /* it isn't in the log, or not any more */
};
int conn_log_end(struct conn_log *log, const char *id);

/* Calls fn for the open ones, then for the ended ones, each the latest first. */
void conn_log_each(struct conn_log *log, conn_fn fn, void *owner);

/*
 * Whether a visitor of the tunnel has come from there since then, by the wall's clock, or one who
 * has sent so many bytes: the relay may not tell its visitors' addresses, or tell that of a NAT.
 */
bool conn_log_has_visitor(
	struct conn_log *log, const char *from, uint64_t bytes_in, uint64_t since_ms);

/* The "Connection" of the API. NULL: out of memory. */
json_t *conn_json(const struct conn *conn);

#endif
