/* SPDX-License-Identifier: MIT */
/*
 * A keyed hash for tables whose keys a peer chooses: SipHash-1-3 (Aumasson and Bernstein, 2012; the
 * variant that Rust's and Python's tables use). Without the seed, nobody can pick keys that
 * collide. It is not for authentication.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A seed from the kernel's random source, one per table. */
int hash_seed(uint64_t *ret_seed);

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len);

#endif
