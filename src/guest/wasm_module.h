/* SPDX-License-Identifier: MIT */
/*
 * From a file's name to a compiled module that can be run: what it is, compiled before or now, and
 * whether everything that it imports is there.
 */
#ifndef GUEST_WASM_MODULE_H
#define GUEST_WASM_MODULE_H

#include <stdbool.h>
#include <stdint.h>

struct guest_end;
struct wasm_byte_vec_t;
struct wasm_engine_t;
struct wasmtime_context;
struct wasmtime_linker;
struct wasmtime_module;

/* The largest file that is read, in bytes: some ten times the largest known. */
#define MODULE_FILE_MAX (1024u << 20)

/* Only for a quick engine, and nothing was said: it can't compile this one. */
#define MODULE_NOT_QUICK (-1)

/*
 * Loads the module. `folder` is where wasm_module_keep() may have left it, NULL for none: what lies
 * there is machine code, which is run unseen. Compiling a large module is announced on standard
 * error. Returns 0, or an enum guest_exit, and end says why. `quick` is the engine.
 */
int wasm_module_load(struct wasm_engine_t *engine, const char *path, const char *folder, bool quick,
	struct guest_end *end, struct wasmtime_module **ret_module);

/* Writes the compiled module into the folder, which is this run's alone. Negative errno, which is
 * logged. */
int wasm_module_keep(struct wasmtime_module *module, const char *folder);

/*
 * Refuses by name what could not run: made for another host, imports that the linker doesn't have,
 * no _start, no memory or more than memory_max bytes of it. Returns as wasm_module_load().
 */
int wasm_module_vet(struct wasmtime_module *module, struct wasmtime_context *context,
	struct wasmtime_linker *linker, const char *path, uint64_t memory_max,
	struct guest_end *end);

/* The engine's names have a length and no NUL. */
bool wasm_name_is(const struct wasm_byte_vec_t *name, const char *text);

#endif
