/* SPDX-License-Identifier: MIT */
/* Where a message ends. At most MSG_WIRE_MAX bytes are ever looked at. */
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

#include "base/lang.h"
#include "proto/msg.h"

int frame_find(uint8_t mark, const uint8_t *data, size_t len, size_t *ret_len)
{
	const uint8_t *end = len ? memchr(data, mark, min_u64(len, MSG_WIRE_MAX)) : NULL;

	if (!end)
		return len > MSG_MAX ? -EMSGSIZE : MSG_PARTIAL;
	*ret_len = (size_t)(end - data);
	return MSG_COMPLETE;
}
