/* SPDX-License-Identifier: MIT */
/*
 * The guest's linear memory as the host sees it during one call. Every address and length in a call
 * comes from the guest and may be anything: nothing is read or written before its range was checked
 * here. Addresses are 32 bits, memory is little-endian, and no alignment is assumed.
 */
#ifndef GUEST_GUEST_MEM_H
#define GUEST_GUEST_MEM_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct guest_mem {
	uint8_t *data; /* the engine's; may move when the guest runs on */
	uint64_t size; /* bytes, at most 4 GiB */
};

/*
 * The host's view of count elements of the given size at address. -EFAULT when they don't lie in
 * memory; none of them is there at any address up to the end.
 */
int guest_mem_at(
	const struct guest_mem *m, uint32_t address, uint32_t count, size_t size, uint8_t **ret_at);

/*
 * Turns the guest's vector of count buffers into the host's, at most cap of them: WASI lets a call
 * move fewer bytes than asked. Empty buffers are left out. -EFAULT as above.
 */
int guest_mem_iovec(const struct guest_mem *m, uint32_t address, uint32_t count, struct iovec *iov,
	size_t cap, size_t *ret_len);

/* Reading and writing at a place that guest_mem_at() gave. */
static inline uint16_t guest_load_u16(const uint8_t *at)
{
	uint16_t raw;

	memcpy(&raw, at, sizeof(raw));
	return le16toh(raw);
}

static inline uint32_t guest_load_u32(const uint8_t *at)
{
	uint32_t raw;

	memcpy(&raw, at, sizeof(raw));
	return le32toh(raw);
}

static inline uint64_t guest_load_u64(const uint8_t *at)
{
	uint64_t raw;

	memcpy(&raw, at, sizeof(raw));
	return le64toh(raw);
}

static inline void guest_store_u16(uint8_t *at, uint16_t value)
{
	uint16_t raw = htole16(value);

	memcpy(at, &raw, sizeof(raw));
}

static inline void guest_store_u32(uint8_t *at, uint32_t value)
{
	uint32_t raw = htole32(value);

	memcpy(at, &raw, sizeof(raw));
}

static inline void guest_store_u64(uint8_t *at, uint64_t value)
{
	uint64_t raw = htole64(value);

	memcpy(at, &raw, sizeof(raw));
}

#endif
