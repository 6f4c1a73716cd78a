/* SPDX-License-Identifier: MIT */
/* A connection on the control port, from its first byte to the end of its handshake. */
#ifndef RELAY_GREETING_H
#define RELAY_GREETING_H

#include <stdbool.h>

#include "net/addr.h"
#include "net/timeouts.h"

struct relay;
struct session;

/* A connection has come; owns `fd`. */
void greeting_accept(struct relay *relay, int fd, const struct addr *from);

/* More bytes for a session in SESSION_GREETING. False: it waits for more, or the session has ended.
 */
bool greeting_read(struct session *s);

/* Timeouts of relay->handshakes and relay->challenges. */
void greeting_on_late(struct timeouts *q, struct timeout *t);
void greeting_on_challenge(struct timeouts *q, struct timeout *t);

#endif
