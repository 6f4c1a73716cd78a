/* SPDX-License-Identifier: MIT */
/*
 * The connections of visitors, in a process that has no notion of a drain: hyper, which serves
 * wasi:http in the wasmtime command, keeps one open for as long as its visitor comes back on it.
 */
#ifndef PRELOAD_VISITORS_H
#define PRELOAD_VISITORS_H

/* Accepted from the inherited socket. */
void visitors_add(int fd);

/* Before visitors_drain(), which a signal handler may call. */
void visitors_prepare(void);

/*
 * From now on each answer tells its visitor that it is the last one ("Connection: close", RFC 9112
 * section 9.6). A visitor who has had an answer before, and is quiet for a second, is at an end for
 * the server. Once there is none the process is asked to end (SIGINT), if it listens to that.
 */
void visitors_drain(void);

#endif
