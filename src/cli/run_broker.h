/* SPDX-License-Identifier: MIT */
/*
 * The broker of `wasmrun run`. The process that was started becomes the engine, so that its
 * streams, signals and exit code are the module's own; a process beside it does what the module
 * can't do by itself (os/broker.h), and lives as long.
 */
#ifndef CLI_RUN_BROKER_H
#define CLI_RUN_BROKER_H

struct addr;
struct os_network_config;

/* What flows when the module ends has so long to arrive; then it is reset. */
#define RUN_BROKER_DRAIN_MS 10000

/*
 * Starts it, and returns when it takes requests: *ret_fd is the module's end of
 * broker/broker_wire.h, the caller's, and not CLOEXEC. `listen_fd` is the socket of --listen at
 * `addr`, which the module is given; -1: there is none. What is refused is a line on standard
 * error. Negative errno: nothing was started. Forks: before there are threads.
 */
int run_broker_start(const struct os_network_config *config, int listen_fd, const struct addr *addr,
	int *ret_fd);

#endif
