/* SPDX-License-Identifier: MIT */
/* What a process uses, as /proc tells (proc(5)). */
#ifndef OS_PROC_USAGE_H
#define OS_PROC_USAGE_H

#include <stdint.h>
#include <sys/types.h>

struct proc_usage {
	uint64_t memory_bytes; /* resident */
	uint64_t cpu_ms;       /* user and system, all threads */
};

/* All zero when there is no such process. */
void proc_usage_read(pid_t pid, struct proc_usage *ret_usage);

#endif
