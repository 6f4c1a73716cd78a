/* SPDX-License-Identifier: MIT */
/* Two small files of the kernel's. */
#include "os/proc_usage.h"

#include <inttypes.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"

#define TEXT_MAX 1024 /* of stat, which has some 50 numbers */

static bool proc_usage_read_file(pid_t pid, const char *name, char text[TEXT_MAX])
{
	_cleanup_(fd_closep) int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);
	text[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

void proc_usage_read(pid_t pid, struct proc_usage *ret_usage)
{
	uint64_t user, system, pages;
	char text[TEXT_MAX];
	const char *behind;

	*ret_usage = (struct proc_usage){ 0 };
	if (proc_usage_read_file(pid, "statm", text) && sscanf(text, "%*u %" SCNu64, &pages) == 1)
		ret_usage->memory_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	/* The program's name, in brackets, may hold anything; fields 14 and 15 are the times. */
	behind = proc_usage_read_file(pid, "stat", text) ? strrchr(text, ')') : NULL;
	if (behind && sscanf(behind + 1,
			      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
			      &user, &system) == 2)
		ret_usage->cpu_ms = (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}
