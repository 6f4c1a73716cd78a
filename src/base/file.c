/* SPDX-License-Identifier: MIT */
/* A node is opened before it is known what it is, for what stat(2) says may be another a moment
 * later; O_NONBLOCK is what keeps that from waiting (fifo(7)). */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"

static const struct {
	mode_t type;
	unsigned allowed_by; /* enum file_kinds */
	int error;
} refusals[] = {
	{ S_IFDIR, 0, -EISDIR },
	{ S_IFIFO, FILE_OR_PIPE, -ESPIPE },
	{ S_IFCHR, FILE_OR_DEVICE, -ENODEV },
	{ S_IFBLK, 0, -ENODEV },
};

int file_open(const char *path, int flags, mode_t mode, unsigned kinds, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if ((st.st_mode & S_IFMT) == refusals[i].type && !(kinds & refusals[i].allowed_by))
			return refusals[i].error;
	*ret_fd = take_fd(&fd);
	return 0;
}

int file_open_limited(const char *path, uint64_t size_max, int *ret_fd, uint64_t *ret_size)
{
	_cleanup_(fd_closep) int fd = -1;
	struct stat st;
	int r = file_open(path, O_RDONLY, 0, FILE_ALONE, &fd);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > size_max)
		return -EFBIG;
	*ret_size = (uint64_t)st.st_size;
	*ret_fd = take_fd(&fd);
	return 0;
}

const char *file_why(int error)
{
	switch (error) {
	case -EISDIR:
		return "it is a folder";
	case -ENODEV:
		return "it is a device";
	case -ENXIO:
		return "it is a socket, or a pipe that nobody reads";
	case -ESPIPE:
		return "it is a pipe";
	default:
		return strerror(-error);
	}
}
