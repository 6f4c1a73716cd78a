/* SPDX-License-Identifier: MIT */
/* One run of a preview 1 module, from an empty store to the exit code. */
#ifndef GUEST_INSTANCE_H
#define GUEST_INSTANCE_H

struct guest_config;

/* Runs the module. Returns the program's exit code, or an enum guest_exit after its line. */
int instance_run(struct guest_config *config);

#endif
