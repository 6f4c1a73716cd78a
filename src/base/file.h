/* SPDX-License-Identifier: MIT */
/*
 * Opening what a user has named, which may turn out to be anything: a folder, a socket, a device, a
 * pipe whose other end is nobody's. No call waits, and what is no file is refused by an error that
 * file_why() has words for.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdint.h>
#include <sys/types.h>

/* What may be there beside a regular file. */
enum file_kinds {
	FILE_ALONE = 0,
	FILE_OR_PIPE = 1 << 0,
	FILE_OR_DEVICE = 1 << 1, /* a terminal, /dev/null; never a disk */
};

/*
 * open(2) with O_CLOEXEC, O_NOCTTY and O_NONBLOCK added to `flags`; `mode` is for O_CREAT. To write
 * to a pipe that nobody reads is ENXIO, as for a socket. Not allowed by `kinds`: EISDIR, ESPIPE (a
 * pipe), ENODEV (a device). 0 or negative errno.
 */
int file_open(const char *path, int flags, mode_t mode, unsigned kinds, int *ret_fd);

/* The same for reading a regular file of at most `size_max` bytes: a larger one is EFBIG. */
int file_open_limited(const char *path, uint64_t size_max, int *ret_fd, uint64_t *ret_size);

/* What such an error, or any other, means of a file: a clause without a full stop. */
const char *file_why(int error);

#endif
