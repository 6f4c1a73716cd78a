/* SPDX-License-Identifier: MIT */
/* A module that is ready to run: what all of its instances share. */
#ifndef GUEST_COMPILED_H
#define GUEST_COMPILED_H

#include "guest/ticker.h"

struct guest_config;
struct wasm_engine_t;
struct wasmtime_module;

struct compiled {
	struct guest_config *config; /* borrowed */
	struct wasm_engine_t *engine;
	struct wasmtime_module *module, *trampoline; /* the latter is shim.h's */
	struct ticker ticker;                        /* runs where the config has a timeout */
};

/*
 * Loads and compiles what the config names. Returns 0, or an enum guest_exit, and the config's end
 * says why; to be closed in either case.
 */
int compiled_open(struct compiled *p, struct guest_config *config);
void compiled_close(struct compiled *p);

#endif
