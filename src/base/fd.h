/* SPDX-License-Identifier: MIT */
/*
 * Closing, reading and writing file descriptors. A descriptor variable starts at -1 and has one
 * owner; ownership moves with take_fd() of base/err.h.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

/* Closes fd unless it is negative. Returns -1, to assign back; errno is kept. */
int fd_close(int fd);

/* For _cleanup_(fd_closep). */
void fd_closep(int *fd);

/* Fewer bytes than asked for only at the file's end. Returns how many, or a negative errno. */
ssize_t fd_read_full(int fd, void *data, size_t len);

/* All of it, to a blocking descriptor. 0, or a negative errno. */
int fd_write_full(int fd, const void *data, size_t len);

#endif
