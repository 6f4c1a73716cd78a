/* SPDX-License-Identifier: MIT */
/* One run of a preview 1 module, from an empty store to its end. */
#ifndef GUEST_WASM_INSTANCE_H
#define GUEST_WASM_INSTANCE_H

#include <stddef.h>

struct guest_end;
struct compiled;

/* What an instance has instead of the process's own. */
struct wasm_instance_io {
	/* Standard input, output and error, borrowed. One that may block is non-blocking: the
	 * program is waited for, up to its time. */
	int in, out, err;
	char *const *env; /* NAME=VALUE, over those of the config */
	size_t n_env;
};

/* What the program wants is held against what is here. Returns 0, or an enum guest_exit, and the
 * config's end says why. */
int wasm_instance_check(const struct compiled *p);

/*
 * Runs it; without io with the process's own streams and the listener of the config, and checked
 * before. With io on several threads at a time. Tells standard error where a trap has come from.
 */
void wasm_instance_run(
	struct compiled *p, const struct wasm_instance_io *io, struct guest_end *ret_end);

#endif
