/* SPDX-License-Identifier: MIT */
/*
 * SipHash-1-3: one round per 8 bytes of input, three at the end. Its 128-bit key is the seed in its
 * lower half and zero in its upper half: 64 unknown bits are ample for a table that a peer can't
 * time.
 */
#include "base/hash.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static uint64_t hash_rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void hash_sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = hash_rotate(v[1], 13) ^ v[0];
	v[0] = hash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = hash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = hash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = hash_rotate(v[1], 17) ^ v[2];
	v[2] = hash_rotate(v[2], 32);
}

static void hash_sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	hash_sip_round(v);
	v[0] ^= word;
}

int hash_seed(uint64_t *ret_seed)
{
	uint64_t seed;
	ssize_t n = getrandom(&seed, sizeof seed, 0);

	if (n != (ssize_t)sizeof seed)
		return n < 0 ? -errno : -EIO;
	*ret_seed = seed;
	return 0;
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
	/* "somepseudorandomlygeneratedbytes", the constants of the paper. */
	uint64_t v[4] = { 0x736f6d6570736575 ^ seed, 0x646f72616e646f6d, 0x6c7967656e657261 ^ seed,
		0x7465646279746573 };
	const uint8_t *in = data;
	uint64_t word, last = (uint64_t)len << 56;

	for (; len >= sizeof word; in += sizeof word, len -= sizeof word) {
		memcpy(&word, in, sizeof word);
		hash_sip_word(v, le64toh(word));
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)in[i] << (8 * i);
	hash_sip_word(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		hash_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
