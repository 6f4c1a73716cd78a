/* SPDX-License-Identifier: MIT */
/*
 * How the wire gets through an HTTP front: a request that asks for "bore" (RFC 9110, 7.8), and the
 * answer 101, behind which both ends speak as they do without a front. docs/protocol.md has it byte
 * by byte. Both ends, pure.
 */
#ifndef FRONT_UPGRADE_H
#define FRONT_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "front/head.h"

#define UPGRADE_TOKEN "bore"
/* A head, its empty line included, of either end. As much as a chan reads ahead. */
#define UPGRADE_HEAD_MAX 4096
/* The most that one of the functions below appends. */
#define UPGRADE_OUT_MAX 1024

/* --- the relay's end --- */

enum upgrade_request_result {
	UPGRADE_REQUEST_NONE,    /* no HTTP: whoever it is speaks bore, or garbage */
	UPGRADE_REQUEST_PARTIAL, /* HTTP so far */
	UPGRADE_REQUEST_WANTED,  /* it is to be answered with 101; the next byte is bore's */
	UPGRADE_REQUEST_REFUSED, /* HTTP, but for this: `refusal` is the answer, and then the end */
};

/* Why a request isn't what it should be. */
enum upgrade_refusal {
	UPGRADE_NOT_ASKED, /* any request of HTTP: a browser, or a front that drops Upgrade */
	UPGRADE_OLD_HTTP,  /* not HTTP/1.1: a front that isn't told to speak it */
	UPGRADE_NOT_GET,
	UPGRADE_HAS_BODY,  /* what is behind the head would be two things */
	UPGRADE_MALFORMED, /* what no front sends */
	UPGRADE_TOO_LONG,  /* more than UPGRADE_HEAD_MAX */
	UPGRADE_FORWARDED, /* the client's address is said twice, or is none */
	UPGRADE_PENALISED, /* said wrong secrets lately */
	UPGRADE_REFUSALS,
};

struct upgrade_request {
	struct head head;  /* WANTED: points into the data */
	struct span token; /* likewise: how "bore" is spelled there */
	enum upgrade_refusal refusal;
	bool is_head; /* REFUSED: the method is HEAD, so that the answer has no body */
};

/* WANTED: *ret_used bytes are the request. */
enum upgrade_request_result upgrade_read_request(
	const uint8_t *data, size_t len, struct upgrade_request *ret_request, size_t *ret_used);

/* Appends the answer 101. 0 or a negative errno. */
int upgrade_write_accept(const struct upgrade_request *request, struct buf *out);

/* Appends the answer to a request that is refused: its status and a page of words. */
int upgrade_write_refusal(const struct upgrade_request *request, struct buf *out);

/* For the log. */
const char *upgrade_refusal_text(enum upgrade_refusal refusal);

/* --- the client's end --- */

/* Appends the request. `host` is as in a URL, without the port where that is the scheme's. */
int upgrade_write_request(const char *host, const char *path, struct buf *out);

enum upgrade_answer_result {
	UPGRADE_ANSWER_PARTIAL,
	UPGRADE_ANSWER_ACCEPTED, /* the next byte is bore's */
	UPGRADE_ANSWER_OTHER,    /* HTTP, of `status` */
	UPGRADE_ANSWER_NO_HTTP,
};

struct upgrade_answer {
	unsigned status;
	struct span location; /* of the answer's field, in the data; empty: none */
	struct span server;   /* likewise */
};

/* ACCEPTED: *ret_used bytes are the answer. */
enum upgrade_answer_result upgrade_read_answer(
	const uint8_t *data, size_t len, struct upgrade_answer *ret_answer, size_t *ret_used);

#endif
