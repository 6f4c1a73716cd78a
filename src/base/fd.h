/* SPDX-License-Identifier: MIT */
/*
 * Closing, reading and writing file descriptors. A descriptor variable starts at -1 and has one
 * owner; ownership moves with take_fd() of base/owner.h.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes fd unless it is negative. Returns -1, to assign back; errno is kept. */
int fd_close(int fd);

/* For _cleanup_(fd_closep), and for a folder of opendir(3). */
void fd_closep(int *fd);
void fd_close_dirp(DIR **dir);

/* Fewer bytes than asked for only at the file's end. Returns how many, or a negative errno. */
ssize_t fd_read_full(int fd, void *data, size_t len);

/* All of it, to a blocking descriptor. 0, or a negative errno. */
int fd_write_full(int fd, const void *data, size_t len);

/* Whether a write of a line, of at most PIPE_BUF bytes, would not have to wait for a reader. Not so
 * for a terminal, which may take a part of a line: see fd_unblock_output(). */
bool fd_has_room(int fd);

/*
 * Gives the process an opening of its own of the terminal or pipe that it writes `fd` to, without
 * blocking; who has it open as well doesn't notice. What is neither, or can't be opened again,
 * stays as it is.
 */
void fd_unblock_output(int fd);

#endif
