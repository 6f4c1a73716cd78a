/* SPDX-License-Identifier: MIT */
/* Whether a file is something that can be run, as far as its outline tells. */
#ifndef APP_MODULE_H
#define APP_MODULE_H

#define APP_WHY_MAX 512 /* a line for people, and its NUL */

/*
 * Reads the header and walks over the sections of a WebAssembly module (its contents are the
 * engine's to judge). 0, or a negative errno, and ret_why names the file and what is wrong.
 */
int module_check(const char *path, char ret_why[APP_WHY_MAX]);

#endif
