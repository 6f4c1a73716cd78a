/* SPDX-License-Identifier: MIT */
/*
 * With --watch: [os.network] of a project's wasmrun.toml holds as soon as it has changed. A mistake
 * in the file is told, and changes nothing.
 */
#ifndef OS_NETWORK_WATCH_H
#define OS_NETWORK_WATCH_H

#include <uv.h>

struct network;
struct network_watch;
struct os_run_config;

/* What it points to outlives it, but for what is read in a thread. Negative errno: go on without.
 */
int network_watch_new(uv_loop_t *loop, const struct os_run_config *run, struct network *network,
	struct network_watch **ret_watch);
/* `closed` follows, never from within. */
void network_watch_close(struct network_watch *w, void (*closed)(void *owner), void *owner);

#endif
