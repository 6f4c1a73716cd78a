/* SPDX-License-Identifier: MIT */
/*
 * One question to somebody: connects (net/dial.h), says something, and hears the beginning of the
 * answer. It is for finding out who is there, not for a conversation.
 */
#ifndef NET_ASK_H
#define NET_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"
#include "net/dialer.h"

#define ASK_ANSWER_MAX 256 /* bytes that are looked at */

struct ask;

enum ask_end {
	ASK_ANSWERED,    /* a line, or what there is of one at ASK_ANSWER_MAX or the end */
	ASK_CLOSED,      /* connected, and closed without a byte */
	ASK_SILENT,      /* connected, and nothing whole in time */
	ASK_UNCONNECTED, /* `error` is a negative errno; -ETIMEDOUT: nothing in time */
	ASK_UNRESOLVED,  /* `error` is one of uv_getaddrinfo() */
};

/* Lives as long as the call that has it. */
struct ask_result {
	enum ask_end end;
	int error;
	uint64_t duration_ms;
	const char *answer; /* a text, with a NUL behind it and maybe some in it */
	size_t len;
	bool connected;           /* `peer` and `from` are filled */
	struct addr peer;         /* that was connected */
	char from[ADDR_TEXT_MAX]; /* our own end */
	const struct addr *addrs; /* of the name, as far as they are known */
	size_t addr_count;
};

struct ask_config {
	uv_loop_t *loop;
	const char *host; /* a name or an address */
	uint16_t port;
	/* NULL: nothing is said or awaited, and a connection is ASK_CLOSED at once. Copied. */
	const char *say;
	uint64_t timeout_ms; /* from the name's question to the end */
	void (*done)(void *owner, const struct ask_result *result); /* never from within */
	void *owner;
};

/* 0: `done` follows, unless it is cancelled. Negative errno: -EINVAL for a host that is none. */
int ask_start(const struct ask_config *config, struct ask **ret_ask);

/* Before `done`: nothing follows. The loop knows its handles for some turns more. */
void ask_cancel(struct ask *a);

/* The status of an answer in HTTP/1, 0: it is none. */
unsigned ask_http_status(const struct ask_result *asked);

#endif
