/* SPDX-License-Identifier: MIT */
/* From what the user has written to a policy and its limits. */
#ifndef OS_NETWORK_SETTINGS_H
#define OS_NETWORK_SETTINGS_H

struct network_limits;
struct os_run_config;
struct policy;

/* Each rule knows where it stands: "wasmrun.toml:12" or "--allow-net". The caller owns the policy.
 * -ENOMEM: the settings themselves are good, or os_run_config_read() had refused them. */
int network_settings_make(const struct os_run_config *config, struct policy **ret_policy,
	struct network_limits *ret_limits);

#endif
