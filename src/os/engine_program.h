/* SPDX-License-Identifier: MIT */
/* Where the engines are. */
#ifndef OS_ENGINE_PROGRAM_H
#define OS_ENGINE_PROGRAM_H

#include <stdbool.h>

#include "app/module.h"

/* The first wasmtime that has all that is used here, and works: 48.0.0 sends HTTP requests of the
 * component's own without Host. */
#define WASMTIME_OLDEST_MAJOR "48"
#define WASMTIME_OLDEST WASMTIME_OLDEST_MAJOR ".0.1"
#define WASMTIME_BROKEN WASMTIME_OLDEST_MAJOR ".0.0"
/* What script/setup-components builds. */
#define WASMTIME_BUILT "48.0.8"

/* What is installed with us: beside this program, else where it belongs. Negative errno: ret_why
 * has the line. The caller frees *ret_path. */
int engine_file_find(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

/* Texts are owned; NULL: there is none. */
struct wasmtime_programs {
	char *own;   /* along PATH, of a version yet unknown */
	char *built; /* by script/setup --components */
	char *needs; /* the line for people when neither will do */
};

/*
 * `dynamic`: only one that ld.so(8) starts will do. -ENOENT: there is none, and ret_why has the
 * line. wasmtime_programs_clear() follows in any case.
 */
int wasmtime_find(bool dynamic, struct wasmtime_programs *ret_programs, char ret_why[APP_WHY_MAX]);
void wasmtime_programs_clear(struct wasmtime_programs *programs);

#endif
