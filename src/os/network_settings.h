/* SPDX-License-Identifier: MIT */
/* From what the user has written to a policy and its limits. */
#ifndef OS_NETWORK_SETTINGS_H
#define OS_NETWORK_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "conf/option.h"

#define NETWORK_BIND_PORTS_MAX 64
/* Of max_connections, max_bandwidth_mbps and connection_timeout_secs: the default and the most. */
#define NETWORK_CONNECTIONS 256
#define NETWORK_CONNECTIONS_MAX 65535
#define NETWORK_BANDWIDTH 0
#define NETWORK_BANDWIDTH_MAX 100000
#define NETWORK_TIMEOUT 30
#define NETWORK_TIMEOUT_MAX 3600

struct policy;
struct toml_file;

/* What the application may connect to, and listen on beside its first port. */
struct os_network_config {
	struct option_list allow, deny; /* rules: policy/net_rule.h */
	struct option_list bind_ports;  /* numbers */
	uint64_t max_connections, max_bandwidth_mbps, connection_timeout_secs; /* os/network.h */
};

struct network_limits {
	uint64_t max_connections;         /* outward, at a time */
	uint64_t max_bandwidth_mbps;      /* of all of them together, each way; 0: as it comes */
	uint64_t connection_timeout_secs; /* from the wish to the established connection */
	uint16_t bind_ports[NETWORK_BIND_PORTS_MAX]; /* beside the gate's */
	size_t bind_port_count;
};

/* What no single value is to blame for, told at the start and not when the policy is made: 0, or
 * OPTION_INVALID with the line in set->error. The set's table has the rows of network_options.h. */
int network_settings_check(const struct os_network_config *c, struct option_set *set);

/* Each rule knows where it stands: "wasmrun.toml:12" or "--allow-net"; `file` NULL: there is none.
 * The caller owns the policy. -ENOMEM: the settings themselves are good, they have been checked. */
int network_settings_make(const struct os_network_config *c, const struct toml_file *file,
	struct policy **ret_policy, struct network_limits *ret_limits);

#endif
