/* SPDX-License-Identifier: MIT */
/* The line dialect's form of the messages. */
#ifndef PROTO_LINE_H
#define PROTO_LINE_H

#include <stddef.h>

#include "proto/msg.h"

#define LINE_VERSION 1 /* of HELLO */

/* One line without its end. -EBADMSG. */
int line_decode(enum role from, const char *line, size_t len, struct msg *msg);

/* Without the end mark, at most MSG_MAX bytes. Errors as msg_encode(). */
int line_encode(enum role from, const struct msg *msg, char ret_line[MSG_MAX], size_t *ret_len);

#endif
