/* SPDX-License-Identifier: MIT */
#include "os/network_settings.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/owner.h"
#include "conf/toml.h"
#include "os/network.h"
#include "os/tree.h"
#include "policy/policy.h"

int network_settings_check(const struct os_network_config *c, struct option_set *set)
{
	const struct {
		const char *name, *why;
		const struct option_list *list;
		size_t max;
	} limits[] = {
		{ "allow-net",
			"there are more than " TEXT_OF(
				POLICY_RULES_MAX) " rules: one for a "
						  "network or for '*.' can stand for many",
			&c->allow, POLICY_RULES_MAX },
		{ "deny-net",
			"there are more than " TEXT_OF(
				POLICY_RULES_MAX) " rules: one for a "
						  "network or for '*.' can stand for many",
			&c->deny, POLICY_RULES_MAX },
		{ "bind-port", "there are more than " TEXT_OF(NETWORK_BIND_PORTS_MAX) " of them",
			&c->bind_ports, NETWORK_BIND_PORTS_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		const struct option_list *list = limits[i].list;

		if (list->count > limits[i].max)
			return option_set_refuse_given(
				set, limits[i].name, list->items[list->count - 1], limits[i].why);
	}
	return 0;
}

static int settings_add(struct policy *p, enum policy_list list, const struct option_list *rules,
	const struct toml_file *file, const char *option)
{
	char where[64], why[NET_RULE_WHY_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->count; i++) {
		uint32_t line = toml_file_line(file, rules->items[i]);

		(void)snprintf(where, sizeof(where), TREE_CONFIG_FILE ":%" PRIu32, line);
		r = policy_add(p, list, rules->items[i], line ? where : option, why);
	}
	return r;
}

static void settings_freep(struct policy **p)
{
	policy_free(*p);
}

int network_settings_make(const struct os_network_config *c, const struct toml_file *file,
	struct policy **ret_policy, struct network_limits *ret_limits)
{
	_cleanup_(settings_freep) struct policy *p = policy_new();
	int r = p ? 0 : -ENOMEM;

	if (r == 0)
		r = settings_add(p, POLICY_ALLOW, &c->allow, file, "--allow-net");
	if (r == 0)
		r = settings_add(p, POLICY_DENY, &c->deny, file, "--deny-net");
	if (r < 0)
		return r;
	*ret_limits = (struct network_limits){
		.max_connections = c->max_connections,
		.max_bandwidth_mbps = c->max_bandwidth_mbps,
		.connection_timeout_secs = c->connection_timeout_secs,
		.bind_port_count = c->bind_ports.count,
	};
	assert(c->bind_ports.count <= NETWORK_BIND_PORTS_MAX);
	for (size_t i = 0; i < c->bind_ports.count; i++)
		ret_limits->bind_ports[i] = (uint16_t)strtoul(c->bind_ports.items[i], NULL, 10);
	*ret_policy = take_ptr(p);
	return 0;
}
