/* SPDX-License-Identifier: MIT */
/* Which layers of the wall hold on this machine: each is tried, not guessed from a version. */
#ifndef SANDBOX_LAYERS_H
#define SANDBOX_LAYERS_H

#include <stdbool.h>

struct layers {
	unsigned landlock_abi; /* as file_rules_abi() has it; 0: none, and nothing is started */
	int filter;            /* 0, or the negative errno of seccomp(2): likewise */
	int namespaces;        /* 0, or that of unshare(2): the wall is without them */
	int cgroup; /* 0, or what cgroup_explain() has words for: the limits of memory and
		       processor time are not kept then */
};

/* Forks: before there are threads. `abi_max` as of file_rules_abi(). */
void layers_probe(unsigned abi_max, struct layers *ret_layers);

/* What must be there. */
bool layers_hold(const struct layers *layers);

#endif
