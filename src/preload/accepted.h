/* SPDX-License-Identifier: MIT */
/*
 * The connections of visitors, in a process that has no notion of a drain: hyper, which serves
 * wasi:http in the wasmtime command, keeps one open for as long as its visitor comes back on it.
 */
#ifndef PRELOAD_ACCEPTED_H
#define PRELOAD_ACCEPTED_H

#include <stdint.h>

/* Accepted from the inherited socket. */
void accepted_add(int fd);

/* Before accepted_drain(), which a signal handler may call. */
void accepted_prepare(void);

/*
 * From now on each answer tells its visitor that it is the last one ("Connection: close", RFC 9112
 * section 9.6). A visitor who has had an answer before, and is quiet for a second, is at an end for
 * the server. Once there is none the process is asked to end (SIGINT), if it listens to that.
 */
void accepted_drain(void);

/*
 * Whoever has waited for limit_ms for the first byte of an answer gets a 504 in its place, or a 408
 * where it is his request that doesn't come; both end his connection. Returns how many were told
 * the first: of them the component may still be at work.
 */
unsigned accepted_turn_away(uint64_t now_ms, uint64_t limit_ms);

/* Where connections become scarce, those on which nothing has moved for idle_ms see their end. */
void accepted_make_room(uint64_t now_ms, uint64_t idle_ms);

/* How many are open, without those who were turned away. */
unsigned accepted_open(void);

/* What is open ends in a reset, when the process ends, so that it doesn't look whole. */
void accepted_cut(void);

#endif
