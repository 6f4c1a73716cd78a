/* SPDX-License-Identifier: MIT */
/* Which layers of the wall hold on this machine: each is tried, not guessed from a version. */
#ifndef SANDBOX_LAYERS_H
#define SANDBOX_LAYERS_H

#include <stdbool.h>

struct layers {
	unsigned landlock_abi; /* as file_rules_abi() has it; 0: none, and nothing is started */
	int filter;            /* 0, or the negative errno of seccomp(2): likewise */
	int namespaces;        /* 0, or that of unshare(2): the wall is without them */
	/* A cgroup of our own that we may divide, for limits of memory, processes and processor
	 * (Documentation/admin-guide/cgroup-v2.rst, "Delegation"). The wall doesn't use it. */
	bool cgroup;
};

/* Forks: before there are threads. `abi_max` as of file_rules_abi(). */
void layers_probe(unsigned abi_max, struct layers *ret_layers);

/* What must be there. */
bool layers_hold(const struct layers *layers);

#endif
