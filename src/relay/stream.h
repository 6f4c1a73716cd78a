/* SPDX-License-Identifier: MIT */
/*
 * A visitor of a tunnel: is given to a warm connection of the client, or waits for its Accept; then
 * it runs in a pump. While it waits it is a bare descriptor: nothing watches it, and a visitor that
 * has gone is found by the pump.
 */
#ifndef RELAY_STREAM_H
#define RELAY_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "net/addr.h"

struct endpoint;
struct flow_kind;
struct preamble;
struct relay;
struct server_handshake;
struct session;

/* A visitor has come to `e`; owns `fd`. Within the limits it is given away, or announced. */
void stream_arrive(struct endpoint *e, int fd, const struct addr *from);

/*
 * A data connection, authenticated, asks for a visitor, or waits for the next ones of a session;
 * `early` is what came behind that. Owns `fd`. A client of any session may take a visitor, once.
 */
void stream_take_data(struct relay *relay, const struct server_handshake *hs,
	const struct preamble *preamble, int fd, const uint8_t *early, size_t early_len);

/* The client of `session` does not want the visitor; `why` is its own text. */
void stream_refuse(struct session *session, const struct uuid *id, const char *why, size_t why_len);

/* Tells a session that has taken an endpoint over who waits there. */
void stream_announce_waiting(struct endpoint *e);

/* Closes who waits at `e`. */
void stream_drop_waiting(struct endpoint *e);

/* Closes who waits anywhere. */
void stream_drop_all_waiting(struct relay *relay, const char *why);

/* Closes who waits, and ends the joined ones, whose completions follow. */
void stream_end_all(struct relay *relay);

/* Of relay->streams. */
extern const struct flow_kind stream_kind;

#endif
