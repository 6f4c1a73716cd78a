/* SPDX-License-Identifier: MIT */
/*
 * Puts the calls of call_table over the engine's WASI: they are defined in the same linker, over
 * the engine's own, and those that are not for us go on to the engine.
 *
 * The engine's functions insist on finding an export "memory" in their caller, which the host is
 * not. So they are called through a trampoline: a tiny module, instantiated at the first such call,
 * that imports the guest's memory, exports it again, and calls each of them from WASM.
 */
#ifndef GUEST_SHIM_H
#define GUEST_SHIM_H

#include <stdint.h>

struct shim;
struct streams;
struct wasm_engine_t;
struct wasmtime_context;
struct wasmtime_error;
struct wasmtime_linker;
struct wasmtime_module;

/* Compiles the trampoline, once for all instances. Returns the engine's error, or NULL. */
struct wasmtime_error *shim_trampoline_new(
	struct wasm_engine_t *engine, struct wasmtime_module **ret_trampoline);

/*
 * Defines the calls in a linker that has the engine's WASI already. One shim serves one instance,
 * and outlives it; trampoline and streams outlive the shim. deadline_ms is that of struct call.
 * Returns the engine's error, or NULL.
 */
struct wasmtime_error *shim_new(struct wasmtime_module *trampoline,
	struct wasmtime_context *context, struct wasmtime_linker *linker, struct streams *streams,
	uint64_t deadline_ms, struct shim **ret_shim);

/* Defines those of WasmEdge's socket calls (wasmedge.h) that the module imports, by their types. */
struct wasmtime_error *shim_add_sockets(
	struct shim *s, struct wasmtime_module *module, struct wasmtime_linker *linker);

struct shim *shim_free(struct shim *s);

#endif
