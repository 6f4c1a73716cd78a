/* SPDX-License-Identifier: MIT */
/*
 * poll_oneoff() with any subscriptions: sixteen bytes are its arguments, the rest is the guest's
 * memory. The guest has its standard streams and a socket that can be written to; its time is soon
 * over, so that nothing waits for long.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "fuzz.h"
#include "guest/call.h"
#include "guest/streams.h"
#include "guest/wasi.h"

#define WAIT_MS 2

static int check_fd(struct call *c, uint32_t fd, uint8_t *scratch)
{
	assert(scratch >= c->mem.data);
	assert(scratch + WASI_FDSTAT_SIZE <= c->mem.data + c->mem.size);
	memset(scratch, 0xff, WASI_FDSTAT_SIZE);
	return fd & 1 ? 0 : WASI_EBADF;
}

static void streams_prepare(struct streams *s)
{
	uint32_t number;
	int pair[2];

	streams_init(s);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0 ||
		streams_add_socket(s, pair[0], false, &number) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct streams streams;
	struct call call = { .streams = &streams, .check_fd = check_fd };
	uint32_t n;
	int r;

	if (size < 16)
		return 0;
	call.deadline_ms = clock_now_ms() + WAIT_MS;
	if (!streams.sockets)
		streams_prepare(&streams);
	for (int i = 0; i < 4; i++)
		call.arg[i] = guest_load_u32(data + 4 * i);
	size -= 16;
	call.mem = (struct guest_mem){ .data = malloc(size ? size : 1), .size = size };
	if (!call.mem.data)
		return 0;
	memcpy(call.mem.data, data + 16, size);
	r = call_poll_oneoff(&call);
	if (r == 0) {
		n = guest_load_u32(call.mem.data + call.arg[3]);
		assert(n <= call.arg[2]);
	}
	free(call.mem.data);
	return 0;
}
