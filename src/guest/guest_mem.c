/* SPDX-License-Identifier: MIT */
/*
 * The bounds of the guest's memory. All sums are made in 64 bits: there a 32-bit address, count and
 * size can't overflow.
 */
#include "guest/guest_mem.h"

#include <errno.h>

/* The guest's buffer: address and length, 32 bits each. */
#define GUEST_IOVEC_SIZE 8

int guest_mem_at(
	const struct guest_mem *m, uint32_t address, uint32_t count, size_t size, uint8_t **ret_at)
{
	uint64_t len = (uint64_t)count * size;

	if (address > m->size || len > m->size - address)
		return -EFAULT;
	*ret_at = m->data + address;
	return 0;
}

int guest_mem_iovec(const struct guest_mem *m, uint32_t address, uint32_t count, struct iovec *iov,
	size_t cap, size_t *ret_len)
{
	size_t n = 0;
	uint8_t *vec;
	int r;

	r = guest_mem_at(m, address, count, GUEST_IOVEC_SIZE, &vec);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < count && n < cap; i++, vec += GUEST_IOVEC_SIZE) {
		uint32_t len = guest_load_u32(vec + 4);
		uint8_t *at;

		r = guest_mem_at(m, guest_load_u32(vec), len, 1, &at);
		if (r < 0)
			return r;
		if (len > 0)
			iov[n++] = (struct iovec){ .iov_base = at, .iov_len = len };
	}
	*ret_len = n;
	return 0;
}
