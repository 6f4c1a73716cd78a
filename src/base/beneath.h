/* SPDX-License-Identifier: MIT */
/* Opening what is in a folder by a path that a stranger has chosen. */
#ifndef BASE_BENEATH_H
#define BASE_BENEATH_H

/*
 * Opens what `path` means from `folder`, as open(2) does with `flags` (not O_CREAT), O_CLOEXEC,
 * O_NOCTTY and O_NONBLOCK. It may be anything; a pipe or a device doesn't hold up the call. "." is
 * the folder itself.
 *
 * 0, or a negative errno: EXDEV: the path, or a symbolic link on its way, leaves the folder. ELOOP:
 * a link of /proc is on its way, or too many links. ENOSYS: the kernel is older than 5.6. All else
 * as of open(2), also where the folder itself is missing.
 */
int beneath_open(const char *folder, const char *path, int flags, int *ret_fd);

#endif
