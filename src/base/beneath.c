/* SPDX-License-Identifier: MIT */
/*
 * The kernel walks along the path (openat2(2)), so there is no moment between a check and a use in
 * which somebody could put a link in the way.
 *
 * RESOLVE_BENEATH: no step of the walk may lead above the folder. Absolute paths and absolute links
 * are refused as well, with EXDEV, also those that lead back into it. ".." and relative links are
 * fine as long as they stay below.
 *
 * RESOLVE_NO_MAGICLINKS: the links of /proc (exe, root, fd/N) don't name a path but jump to an
 * object. One that is met is refused with ELOOP, also where the object is beneath the folder.
 *
 * Behind a ".." the kernel asks whether the place is still beneath the folder. Where something was
 * renamed or mounted meanwhile, anywhere on the system, it can't tell and says EAGAIN. That is
 * asked again a few times; if somebody renames without a pause it counts as a way out.
 *
 * A kernel without the call says ENOSYS, which is passed on: a walk of our own, step by step, could
 * not keep the promise.
 */
#include "base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/owner.h"

#define TRIES 8 /* while others rename */

int beneath_open(const char *folder, const char *path, int flags, int *ret_fd)
{
	/* A descriptor of O_PATH opens nothing, and openat2(2) takes no flags beside it that would
	 * mean nothing. */
	const struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC) |
			 (flags & O_PATH ? 0U : O_NOCTTY | O_NONBLOCK),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_(fd_closep) int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd = -1;

	if (dir < 0)
		return -errno;
	errno = EAGAIN;
	for (unsigned i = 0; fd < 0 && errno == EAGAIN && i < TRIES; i++)
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0)
		return errno == EAGAIN ? -EXDEV : -errno;
	*ret_fd = (int)fd;
	return 0;
}
