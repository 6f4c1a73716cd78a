/* SPDX-License-Identifier: MIT */
/* What both servers on libmicrohttpd share: how long a connection may wait, what the head of a
 * request says of its body, and the library's log. */
#ifndef MHD_MHD_H
#define MHD_MHD_H

#include <microhttpd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

/*
 * A connection that is kept alive is kept for longer than the usual front keeps its own (nginx and
 * others: 60 s), else that one sends a request to a connection that is just being closed.
 */
#define MHD_IDLE_S 75
/* However little comes meanwhile: from the connection to the end of the first request's head, and
 * behind an answer for so much longer than MHD_IDLE_S; from there to the end of its body. */
#define MHD_HEAD_MS 30000
#define MHD_BODY_MS 120000

/* Of a body that comes in chunks, and has become too long, so many bytes in all are read before it
 * is answered; more: reset. */
#define MHD_DROP_MAX (UINT64_C(52) << 20)

enum mhd_body {
	MHD_BODY_NONE,
	MHD_BODY_LENGTH,
	MHD_BODY_CHUNKED,
	MHD_BODY_UNKNOWN, /* framed in a way that nobody here can read; libmicrohttpd would read for
			     ever */
	MHD_BODY_TWICE,   /* framed in two ways: who reads two headers can see two ends */
};

/* How often the head has it. */
unsigned mhd_header_count(struct MHD_Connection *connection, const char *name);

/* Of a request whose head is through. *ret_len: of MHD_BODY_LENGTH, UINT64_MAX where it is no
 * number. */
enum mhd_body mhd_body_of(struct MHD_Connection *connection, uint64_t *ret_len);

/*
 * For MHD_OPTION_URI_LOG_CALLBACK, with the target that it is given, in libmicrohttpd's own memory.
 * It makes an entry of each parameter in the query, and when it has no memory for one more, it
 * neither answers nor closes. So a query with more than `max` parameters is emptied before it is
 * looked at, which is what true says.
 */
bool mhd_query_cut(const char *target, size_t max);

/* For MHD_OPTION_EXTERNAL_LOGGER; `component` is that of the log lines, a string. */
void mhd_log(void *component, const char *fmt, va_list args) _printf_(2, 0);

#endif
