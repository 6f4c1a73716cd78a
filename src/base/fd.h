/* SPDX-License-Identifier: MIT */
/*
 * Closing file descriptors. A descriptor variable starts at -1 and has one owner; ownership moves
 * with take_fd() of base/err.h.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

/* Closes fd unless it is negative. Returns -1, to assign back; errno is kept. */
int fd_close(int fd);

/* For _cleanup_(fd_closep). */
void fd_closep(int *fd);

#endif
