/* SPDX-License-Identifier: MIT */
/*
 * Which system calls a guest may make (seccomp(2)): an allow-list with a reason for each line. What
 * nobody has thought of is answered ENOSYS, as an older kernel would, so that libraries fall back;
 * what is known and refused is EACCES. Nothing is killed: a guest that probes is told no.
 *
 * The filter holds for whatever program runs, and for all that it starts or becomes. It looks at
 * numbers, never at memory, which another thread could change behind it: paths are Landlock's
 * business (file_rules.h), addresses are refused altogether.
 *
 * All functions here are async-signal-safe (signal-safety(7)): a child calls them between fork(2)
 * and execve(2), and a library's constructor before any thread.
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sock_filter;

#define FILTER_INSNS_MAX 2048 /* of a program; the kernel takes 4,096 (BPF_MAXINSNS) */

enum filter_kind {
	/* An engine that has no sockets but those that it is given. */
	FILTER_ENGINE,
	/* The same, and it may make TCP sockets, which it can't connect: the wasmtime command makes
	 * one before its connect(2) or bind(2) is taken over by our library. */
	FILTER_ENGINE_SOCKETS,
	/* On top of another one: becoming another program ends. For the engine to put on before
	 * the first instruction of what it runs. */
	FILTER_SEAL,
	FILTER_KINDS,
};

struct filter_options {
	enum filter_kind kind;
	/* Landlock doesn't know truncation (ABI 1 and 2): truncate(2) and O_TRUNC without the wish
	 * to write empty any file of the user's. They are refused then, and with them openat2(2),
	 * whose flags lie in memory. */
	bool refuse_truncation;
	int32_t self; /* the process's number: the only one that it may send a signal to */
};

/*
 * Writes the program for this machine's system calls. Returns its length in instructions, or 0
 * when `size` is too small. Pure; filter_enter() is what everybody but a test wants.
 */
size_t filter_write(const struct filter_options *options, struct sock_filter *insns, size_t size);

/* Whether there are filters: 0, or the negative errno of seccomp(2). */
int filter_probe(void);

/*
 * Puts the calling thread, which should be the only one, under the filter, for ever; sets
 * no_new_privs(PR_SET_NO_NEW_PRIVS), without which the kernel wants CAP_SYS_ADMIN for it. `self` is
 * filled in. 0 or a negative errno: -ENOSYS and -EINVAL are a kernel without CONFIG_SECCOMP_FILTER.
 */
int filter_enter(struct filter_options options);

#endif
