/* SPDX-License-Identifier: MIT */
/*
 * The options of `bore server` (server_table, cli/commands.h), and what they mean to the relay:
 * here is refused what contradicts itself or is an accident, with one line that says so.
 */
#ifndef CLI_SERVER_OPTIONS_H
#define CLI_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/common_options.h"
#include "conf/option.h"

struct relay_config;

struct server_values {
	struct common_values common;
	const char *bind_addr, *bind_tunnels, *connection_log, *handover;
	uint64_t control_port, min_port, max_port;
	uint64_t max_conns, max_conns_total, max_handshakes, max_pending, max_pending_total;
	uint64_t max_ready, max_ready_total, max_tunnel_age_ms, max_tunnels_per_addr;
	struct option_list trusted_proxies;
	bool no_line_dialect, public;
};

/* What the relay is to do, but for the connection log; it borrows the values' texts. An enum
 * exit_code. */
int server_make_config(
	const struct server_values *v, struct option_set *set, struct relay_config *ret_config);

/* Says what of it the operator may not have meant. */
void server_warn(const struct server_values *v, const struct option_set *set,
	const struct relay_config *config);

#endif
