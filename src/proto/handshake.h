/* SPDX-License-Identifier: MIT */
/*
 * How a connection to the relay begins: what both ends of the handshake share. Either end is a
 * conversation that eats bytes and says bytes (client_handshake.h, server_handshake.h), in both
 * dialects. Pure: deadlines are the caller's, HANDSHAKE_TIMEOUT_MS for each first message.
 */
#ifndef PROTO_HANDSHAKE_H
#define PROTO_HANDSHAKE_H

#define CONTROL_PORT 7835         /* of a relay, where nobody says another one; as stock */
#define HANDSHAKE_TIMEOUT_MS 3000 /* as stock: for the first message of either side */
#define HANDSHAKE_CHALLENGE_WAIT_MS                                  \
	100 /* a server with a secret waits so long for a first byte \
	     */

/* The Error texts of the wire, word for word those of stock bore. */
#define ERROR_WRONG_SECRET "invalid secret"
#define ERROR_SECRET_REQUIRED "server requires secret, but no secret was provided"
#define ERROR_PORT_TAKEN "port already in use"
#define ERROR_PORT_RANGE "client port number not in allowed range"
#define ERROR_PORT_DENIED "permission denied"
#define ERROR_PORT_FAILED "failed to bind to port"
#define ERROR_NO_PORT "failed to find an available port"
#define ERROR_TIMED_OUT "timed out waiting for initial message"
#define ERROR_UNPARSABLE "unable to parse message"
#define ERROR_TOO_LONG "frame error, invalid byte length"
/* Ours. */
#define ERROR_TOO_MANY_TUNNELS "too many tunnels"
#define ERROR_TUNNEL_AGE "tunnel has reached its maximum age"
#define ERROR_UNEXPECTED "unexpected message"
#define ERROR_VERSION "unsupported protocol version"

/* What a handshake says when it isn't a negative errno (which means out of memory). */
enum handshake_result {
	HANDSHAKE_MORE,   /* goes on with the peer's next bytes */
	HANDSHAKE_DONE,   /* the rest of the bytes belong to what follows */
	HANDSHAKE_FAILED, /* see `failure`; what stands in `out` is still to be sent, then close */
};

/* Why it failed. The client's public texts come from handshake_failure_text(). */
enum handshake_failure {
	HANDSHAKE_OK,
	HANDSHAKE_NOT_BORE,        /* the peer speaks something else */
	HANDSHAKE_WRONG_SECRET,    /* the relay's secret is another one */
	HANDSHAKE_SECRET_REQUIRED, /* the relay asks for a secret and the client has none */
	HANDSHAKE_SECRET_UNASKED,  /* the client has a secret, the relay does not ask for one */
	HANDSHAKE_SECRET_UNFIT,    /* the secret cannot stand in a line; nothing was sent */
	HANDSHAKE_PORT_TAKEN,      /* ERROR_PORT_TAKEN */
	HANDSHAKE_PORT_RANGE,      /* ERROR_PORT_RANGE */
	HANDSHAKE_PORT_DENIED,     /* ERROR_PORT_DENIED, ERROR_PORT_FAILED */
	HANDSHAKE_NO_PORT,         /* ERROR_NO_PORT */
	HANDSHAKE_REFUSED,         /* any other Error of the relay */
	HANDSHAKE_UNEXPECTED,      /* a message of the wire that has no place here */
	HANDSHAKE_CLOSED,          /* the peer closed before its answer: overload, or a penalty */
	HANDSHAKE_SILENT,          /* the peer speaks bore, but its answer didn't come in time */
	HANDSHAKE_FAILURES,
};

const char *handshake_failure_text(enum handshake_failure failure);

/* What an Error text of the relay means. */
enum handshake_failure handshake_failure_from_error(const char *text);

#endif
