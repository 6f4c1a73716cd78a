/* SPDX-License-Identifier: MIT */
/*
 * The guest's vectors of buffers. Four bytes are the vector's address, four its count, the rest is
 * the guest's memory. Every buffer that comes out must lie in it.
 */
#include <assert.h>

#include "fuzz.h"
#include "guest/guest_mem.h"

#define CAP 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iovec iov[CAP];
	struct guest_mem mem;
	size_t n = 0;

	if (size < 8)
		return 0;
	mem = (struct guest_mem){ .data = (uint8_t *)data + 8, .size = size - 8 };
	if (guest_mem_iovec(&mem, guest_load_u32(data), guest_load_u32(data + 4), iov, CAP, &n) < 0)
		return 0;
	assert(n <= CAP);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *base = iov[i].iov_base;

		assert(base >= mem.data && iov[i].iov_len > 0);
		assert(iov[i].iov_len <= (size_t)(mem.data + mem.size - base));
	}
	return 0;
}
