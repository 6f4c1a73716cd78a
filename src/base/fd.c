/* SPDX-License-Identifier: MIT */
/*
 * Closing file descriptors. close(2) is called once whatever it returns: on Linux the descriptor is
 * gone even after EINTR, and a second call could hit another thread's new one.
 */
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}
