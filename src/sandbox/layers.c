/* SPDX-License-Identifier: MIT */
#include "sandbox/layers.h"

#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/file_rules.h"
#include "sandbox/spawn.h"

#define CGROUPS "/sys/fs/cgroup" /* where systemd mounts it, and Docker */

/* Known to 4.14 and later, which Landlock needs in any case. */
static int layers_try_filter(void)
{
	const uint32_t action = SECCOMP_RET_ERRNO;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? -errno : 0;
}

/* In a child, which is in them for good. */
static int layers_try_namespaces(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(unshare(SPAWN_NAMESPACES) < 0 ? errno : 0);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static bool layers_find_cgroup(void)
{
	static const char mark[] = "0::"; /* cgroups(7), "/proc files" */
	char line[PATH_MAX], path[2 * PATH_MAX];
	FILE *f = fopen("/proc/self/cgroup", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		if (strncmp(line, mark, strlen(mark)) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(path, sizeof path, CGROUPS "%s/cgroup.subtree_control",
			line + strlen(mark));
		found = access(path, W_OK) == 0;
	}
	if (f)
		(void)fclose(f);
	return found;
}

void layers_probe(unsigned abi_max, struct layers *ret_layers)
{
	*ret_layers = (struct layers){
		.landlock_abi = file_rules_abi(abi_max),
		.filter = layers_try_filter(),
		.namespaces = layers_try_namespaces(),
		.cgroup = layers_find_cgroup(),
	};
}

bool layers_hold(const struct layers *layers)
{
	return layers->landlock_abi > 0 && layers->filter == 0;
}
