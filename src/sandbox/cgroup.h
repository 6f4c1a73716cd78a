/* SPDX-License-Identifier: MIT */
/*
 * Limits of memory, threads and processor time by a cgroup, where one is delegated to us: version
 * 2, at /sys/fs/cgroup (Documentation/admin-guide/cgroup-v2.rst, "Delegation"; systemd.resource-
 * control(5), "Delegate="). Only a cgroup without processes may have others below it that are
 * limited, so this process moves from its own one into "supervisor" below that, and each child that
 * is limited gets one beside it.
 *
 * We touch a cgroup that is ours to divide, and in which nobody is but us. A child joins by a step
 * of its spawn (spawn.h).
 */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_THREADS,
	CGROUP_CPU,
	CGROUP_CONTROLLERS,
};

/* 0: no limit. */
struct cgroup_limits {
	uint64_t memory_bytes; /* of what it has touched, the cache of its files and the kernel's
				  part; swap is none of it */
	uint64_t threads;
	uint64_t cpu_percent; /* 100 is one processor */
};

/* One that is divided. */
struct cgroup {
	int dir;
	unsigned made; /* children so far: the next one's number */
	bool has[CGROUP_CONTROLLERS];
};

/* One that is limited, with a process or two. Not of any cgroup when zeroed. */
struct cgroup_child {
	const struct cgroup *parent; /* NULL: there is none */
	unsigned number;
	int procs; /* open for writing: "0" moves the writer */
	int dir;
};

/*
 * Whether we have one that we may divide; nothing is changed. 0, or a negative errno, for which
 * cgroup_explain() has words: -EOPNOTSUPP: no version 2 here. -EACCES: it isn't delegated. -EBUSY:
 * others are in it. -ENODEV: it has no controller of memory.
 */
int cgroup_probe(void);
const char *cgroup_explain(int error);

/*
 * Divides it, and moves this process; removes what one that was killed has left. As cgroup_probe();
 * after an error all is as before.
 */
int cgroup_open(struct cgroup *ret_cgroup);
/* Puts all back. */
void cgroup_close(struct cgroup *cgroup);

/* Limits without a controller are not kept. Negative errno: there is no child. */
int cgroup_add(
	struct cgroup *cgroup, const struct cgroup_limits *limits, struct cgroup_child *ret_child);
/* Whether the kernel has killed somebody in it for want of memory. */
bool cgroup_is_out_of_memory(const struct cgroup_child *child);
/* Kills whoever is left in it. */
void cgroup_remove(struct cgroup_child *child);

#endif
