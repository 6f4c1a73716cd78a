/* SPDX-License-Identifier: MIT */
/* One run of a preview 1 module, from an empty store to the exit code. */
#ifndef GUEST_INSTANCE_H
#define GUEST_INSTANCE_H

#include <stddef.h>

struct program;

/* What an instance has instead of the process's own. */
struct instance_io {
	/* Standard input, output and error, borrowed. One that may block is non-blocking: the
	 * program is waited for, up to its time. */
	int in, out, err;
	char *const *env; /* NAME=VALUE, over those of the config */
	size_t n_env;
};

/* Whether the program can be run: what it wants is held against what is here. */
int instance_check(const struct program *p);

/*
 * Runs it; without io with the process's own streams and the listener of the config, and checked
 * before. Returns the program's exit code, or an enum guest_exit after its line. With io on
 * several threads at a time.
 */
int instance_run(struct program *p, const struct instance_io *io);

#endif
