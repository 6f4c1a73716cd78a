/* SPDX-License-Identifier: MIT */
/* What the engine's WASI is told about a guest: streams, arguments, environment, directories. */
#ifndef GUEST_WASI_SETUP_H
#define GUEST_WASI_SETUP_H

#include <stdint.h>

struct guest_config;
struct guest_end;
struct wasm_instance_io;
struct wasi_config_t;

/* The guest's number for the listener: the first behind the directories, which start at 3. */
uint32_t wasi_listener_fd(const struct guest_config *config);

/* io is as in wasm_instance_run(). Returns 0, or an enum guest_exit, and end says why. */
int wasi_setup(const struct guest_config *config, const struct wasm_instance_io *io,
	struct guest_end *end, struct wasi_config_t **ret_wasi);

#endif
