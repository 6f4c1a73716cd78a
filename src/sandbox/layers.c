/* SPDX-License-Identifier: MIT */
#include "sandbox/layers.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/cgroup.h"
#include "sandbox/file_rules.h"
#include "sandbox/filter.h"
#include "sandbox/spawn.h"

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

void layers_probe(unsigned abi_max, struct layers *ret_layers)
{
	*ret_layers = (struct layers){
		.landlock_abi = file_rules_abi(abi_max),
		.filter = filter_probe(),
		.namespaces = layers_try_namespaces(),
		.cgroup = cgroup_probe(),
	};
}

bool layers_hold(const struct layers *layers)
{
	return layers->landlock_abi > 0 && layers->filter == 0;
}
