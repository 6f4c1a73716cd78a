/* SPDX-License-Identifier: MIT */
/* Programs, found along PATH as a shell finds them. */
#ifndef APP_PROGRAM_PATH_H
#define APP_PROGRAM_PATH_H

#include <stdbool.h>

/* Whether that is a file which may be executed: a folder of the name, which may be entered, such as
 * a clone of a program's sources, is none. */
bool program_path_is_program(const char *path);

/* Along PATH. ret_path has room for PATH_MAX, and may be relative. */
bool program_path_find(const char *program, char *ret_path);

#endif
