/* SPDX-License-Identifier: MIT */
/*
 * A data connection on its way: dialled, led through the front where there is one, and told what it
 * is for, behind the relay's challenge where there is a secret. Either it is a visitor's stream
 * from then on (Accept), or it waits for visitors (Ready).
 */
#ifndef TUNNEL_DATA_CONN_H
#define TUNNEL_DATA_CONN_H

#include <stddef.h>
#include <uv.h>

#include "net/dialer.h"
#include "net/target.h"
#include "proto/client_handshake.h"

struct auth;
struct data_conn;
struct flow_set;
struct front;

/* Where data connections go, and what is spoken there. */
struct data_relay {
	uv_loop_t *loop;
	struct flow_set *set;    /* isn't idle while libuv knows of a data connection */
	const struct auth *auth; /* NULL: no secret */
	struct front *front;     /* that stands before the relay; NULL: none */
	struct dialer dialer;    /* to the address of the live control connection, */
	enum dialect dialect;    /* and what is spoken there */
};

enum data_conn_failure {
	DATA_CONN_UNREACHED, /* it can't be connected, or said to: `error` as of target->open() */
	DATA_CONN_NO_WAY,    /* the front lets it not through */
	DATA_CONN_NOT_TAKEN, /* the relay doesn't go on with it */
	DATA_CONN_LOST,      /* all was said, and the relay has reset it */
};

struct data_conn_events {
	/* All is said: data_conn_take() may follow, from within or later. */
	void (*opened)(void *owner);
	/* It has failed, and is gone. `why` is the cause, for people, and lives as long as the
	 * call. */
	void (*failed)(void *owner, enum data_conn_failure what, int error, const char *why);
};

/*
 * `id` is the visitor's for CLIENT_STREAM, the session's key for CLIENT_READY. 1: all is said, and
 * *ret_fd the caller's. 0: an event follows, never from within. Else as target->open().
 */
int data_conn_open(struct data_relay *relay, enum client_goal goal, const struct uuid *id,
	const struct data_conn_events *events, void *owner, struct data_conn **ret_conn,
	int *ret_fd);

/* Whoever opened it waits no more; an ordinary end, not a reset: what was said is to arrive. */
void data_conn_cancel(struct data_conn *c);

/*
 * Behind `opened`: gives the descriptor away, and is gone. What has come already stands in
 * *ret_early until the loop's next turn. -EAGAIN: nothing has changed; something said is still
 * unsent.
 */
int data_conn_take(struct data_conn *c, const void **ret_early, size_t *ret_early_len);

#endif
