/* SPDX-License-Identifier: MIT */
/* Where a message ends: what both dialects share. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

/*
 * Looks for the end mark of the first message. MSG_COMPLETE with the length before the mark,
 * MSG_PARTIAL, or -EMSGSIZE when more than MSG_MAX bytes stand before it.
 */
int frame_find(uint8_t mark, const uint8_t *data, size_t len, size_t *ret_len);

#endif
