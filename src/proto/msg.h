/* SPDX-License-Identifier: MIT */
/*
 * The messages of the bore wire, whatever dialect carries them, and the way from bytes to messages
 * and back. Pure: nothing here sees a descriptor or a clock.
 *
 * A frame of the JSON dialect is compact JSON plus one NUL; a line ends in LF. Neither has more
 * than MSG_MAX bytes before its end mark. Bytes behind a message are never touched.
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "proto/options.h"

#define MSG_MAX 256                /* bytes of a frame or line, without its end mark; as stock */
#define MSG_WIRE_MAX (MSG_MAX + 1) /* with it */

enum dialect {
	DIALECT_BORE, /* JSON frames, as stock bore */
	DIALECT_LINE, /* the older text form */
};

enum role {
	ROLE_CLIENT, /* the peer that opens connections */
	ROLE_SERVER, /* the relay */
};

enum msg_type {
	MSG_HELLO,        /* client: wanted public port, 0 for any, but see MSG_WANT; server: the
			     public port */
	MSG_AUTHENTICATE, /* client: `text` is the hex tag; in the line dialect the secret itself */
	MSG_ACCEPT,       /* client: takes the visitor `id` over this connection */
	MSG_READY,        /* client, with the ability `ready`: this connection waits for visitors of
			     the session whose key `id` is; JSON dialect only */
	MSG_CHALLENGE,    /* server: `id` is to be signed; JSON dialect only */
	MSG_HEARTBEAT,    /* server; a client sends it only with the ability `beat` */
	MSG_CONNECTION,   /* server: the visitor `id` waits */
	MSG_VISITOR,      /* server, with the ability `visitor`: as MSG_CONNECTION, `text` is
			     where from: "ip:port", not checked here; JSON dialect only */
	MSG_MOVE,         /* server, with the ability `move`: another relay has taken over here, and
			     has the port: come back; JSON dialect only */
	MSG_ERROR,        /* server: `text`, then it closes */
	MSG_OPTIONS,      /* both ways: `options`; JSON dialect only */
	MSG_REFUSE,   /* client, with the ability `refuse`: visitor `id` is not wanted, `text` is
			 the reason; JSON dialect only */
	MSG_GREETING, /* client, line dialect only: the first line, `port` is the version */
	MSG_WANT,     /* client, line dialect only: the wanted public `port`; its MSG_HELLO, that
			 follows, has the local port */
	MSG_TYPES,
};

struct msg {
	enum msg_type type;
	uint16_t port;
	struct uuid id;
	struct options options;
	size_t text_len;
	char text[MSG_MAX + 1]; /* raw bytes of the peer, NUL-terminated for convenience */
};

/* What msg_decode() says when it is not an error. */
enum msg_result {
	MSG_COMPLETE, /* *ret_msg is filled, *ret_used bytes were its own */
	MSG_PARTIAL,  /* the message is not whole yet; nothing was used */
};

/*
 * Takes the first message that a peer in `from` has sent. Returns enum msg_result, -EMSGSIZE for a
 * message that is too long, -EBADMSG for one that is malformed or that this role never sends. Both
 * errors end the connection.
 */
int msg_decode(enum dialect dialect, enum role from, const uint8_t *data, size_t len,
	struct msg *ret_msg, size_t *ret_used);

/*
 * Writes a message as `from` sends it, with its end mark. -EMSGSIZE when it has more than MSG_MAX
 * bytes or, in JSON, its text is not UTF-8; -EINVAL when the dialect has no such message for this
 * role or the text cannot stand in a line. Error, Refuse and Visitor texts are cut rather than too
 * long.
 */
int msg_encode(enum dialect dialect, enum role from, const struct msg *msg,
	uint8_t ret_data[MSG_WIRE_MAX], size_t *ret_len);

/* Encodes straight into a queue. As msg_encode() and buf_append(). */
int msg_append(enum dialect dialect, enum role from, const struct msg *msg, struct buf *out);

/* Whether a JSON message can begin with this byte: with its value, or a blank in front of it. */
bool msg_begins_json(uint8_t first);

const char *msg_type_name(enum msg_type type);

#endif
