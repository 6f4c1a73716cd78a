/* SPDX-License-Identifier: MIT */
/*
 * Where the relay's warm connections (relay/ready.h) come from and go to: a client parks one, a
 * visitor is given one, and it is back when his stream is over. What is counted of that is counted
 * here.
 */
#ifndef RELAY_PARKING_H
#define RELAY_PARKING_H

#include <stdbool.h>

#include "base/uuid.h"

struct flow_result;
struct preamble;
struct ready_conn;
struct relay;
struct session;
struct timeout;
struct timeouts;

/*
 * A data connection, authenticated, says that it is ready for the visitors of the session with that
 * key; `unasked`: and more than that. Owns `fd`: where it can't be parked it is reset.
 */
void parking_enter(struct relay *relay, const struct uuid *key, const struct preamble *preamble,
	int fd, bool unasked);

/* The session's next one, for a visitor. False: it has none, or none that is alive; or its client
 * may be gone. */
bool parking_take(struct session *session, struct ready_conn *ret_conn);

/*
 * How it went with one that was taken, from the session that had `key`: parked again where there is
 * one to park and it can be, and else closed.
 */
void parking_return(
	struct relay *relay, const struct uuid *key, bool front, const struct flow_result *result);

/* Timeouts of relay->sweeps. */
void parking_on_sweep(struct timeouts *q, struct timeout *t);

#endif
