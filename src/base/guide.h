/* SPDX-License-Identifier: MIT */
/*
 * The guide, which is the folder docs/: where it lies beside the program that runs.
 */
#ifndef BASE_GUIDE_H
#define BASE_GUIDE_H

#include <limits.h>

/*
 * The absolute path of its first page: installed, in share/doc/PROGRAM beside the program's bin; of
 * a build folder, in the clone around it. -ENOENT where the program alone was copied elsewhere.
 */
int guide_find(const char *program, char ret_path[PATH_MAX]);

#endif
