/* SPDX-License-Identifier: MIT */
/*
 * The PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt describes it: what a proxy
 * that passes on raw TCP says first, and by which the real client's address is known. Pure.
 */
#ifndef FRONT_PROXY_HEADER_H
#define FRONT_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

#define PROXY_V1_MAX 107  /* the longest line, its CRLF included (2.1) */
#define PROXY_V2_MAX 1024 /* with all its TLVs; the standard's advice to senders is 536 (2.2) */

enum proxy_header_result {
	PROXY_HEADER_NONE,    /* something else begins here */
	PROXY_HEADER_PARTIAL, /* right so far */
	PROXY_HEADER_CLIENT,  /* it names a TCP client */
	PROXY_HEADER_LOCAL,   /* it names none: the proxy speaks for itself, or doesn't know */
	PROXY_HEADER_BAD,
};

/* CLIENT, LOCAL: *ret_used bytes are the header. CLIENT: *ret_client is who connected there. */
enum proxy_header_result proxy_header_read(
	const uint8_t *data, size_t len, struct addr *ret_client, size_t *ret_used);

#endif
