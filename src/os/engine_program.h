/* SPDX-License-Identifier: MIT */
/* Where the engines are. */
#ifndef OS_ENGINE_PROGRAM_H
#define OS_ENGINE_PROGRAM_H

#include "app/module.h"

/* The first wasmtime that has all that is used here, and works: 48.0.0 sends HTTP requests of the
 * component's own without Host. */
#define WASMTIME_OLDEST_MAJOR "48"
#define WASMTIME_OLDEST WASMTIME_OLDEST_MAJOR ".0.1"
#define WASMTIME_BROKEN WASMTIME_OLDEST_MAJOR ".0.0"
/* What script/setup-components builds. */
#define WASMTIME_BUILT "48.0.8"
#define WASMTIME_ASK_MS 10000 /* it tells its version in some 20 */

/* What is installed with us: beside this program, else where it belongs. Negative errno: ret_why
 * has the line. The caller frees *ret_path. */
int engine_file_find(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

/*
 * What starts an ELF program (elf(5), PT_INTERP): ld.so(8), as the program names it. *ret_path is
 * the caller's; NULL: it is statically linked. -ENOEXEC: it is no ELF program of 64 bits.
 */
int engine_interpreter(const char *path, char **ret_path);

/*
 * The wasmtime along PATH if it is new enough, else what script/setup --components has built. Only
 * one that ld.so(8) starts will do, since the library that is loaded into it seals it. A file that
 * is asked for its version for the first time is run, for WASMTIME_ASK_MS at most: not on a loop.
 * What it answers is kept as long as the file stays the same. Any thread. The caller frees
 * *ret_path. Negative errno: ret_why has the line for people.
 */
int wasmtime_find(char **ret_path, char ret_why[APP_WHY_MAX]);

#endif
