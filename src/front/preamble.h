/* SPDX-License-Identifier: MIT */
/*
 * What may stand before the handshake on the relay's control port: the header of a trusted proxy's
 * PROXY protocol, then a request for an upgrade, or only one of them, or nothing. Pure.
 *
 * A trusted proxy must say one of the two. If it could also leave both out, then whoever connects
 * through one that passes on raw TCP and adds no header could write that himself, and be whom he
 * likes: proxy-protocol.txt forbids to guess whether it is there.
 */
#ifndef FRONT_PREAMBLE_H
#define FRONT_PREAMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front/trusted.h"
#include "front/upgrade.h"
#include "net/addr.h"

enum preamble_result {
	PREAMBLE_MORE,
	PREAMBLE_PLAIN,   /* the next byte is the handshake's */
	PREAMBLE_UPGRADE, /* `request` is to be answered; the next byte behind that as well */
	PREAMBLE_REFUSED, /* likewise, with its refusal, and then the end */
	PREAMBLE_BAD,     /* the end: `why` */
};

struct preamble {
	/* Set by preamble_init(). */
	const struct trusted *trusted;
	struct addr peer; /* of the socket */
	struct addr from; /* the client, as far as that is known by now */

	bool proxied;                   /* a PROXY header was read */
	bool upgraded;                  /* UPGRADE was returned */
	bool done;                      /* PLAIN or UPGRADE was */
	struct upgrade_request request; /* UPGRADE, REFUSED: points into the data of that call */
	const char *why;                /* BAD: a constant */
};

void preamble_init(struct preamble *p, const struct trusted *trusted, const struct addr *peer);

/* Nothing may be said on the connection before its preamble has been heard. */
bool preamble_is_awaited(const struct preamble *p);

/* Not to be called again behind another result than MORE. *ret_used bytes of the data are eaten. */
enum preamble_result preamble_feed(
	struct preamble *p, const uint8_t *data, size_t len, size_t *ret_used);

#endif
