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
#include "os/run_config.h"
#include "os/tree.h"
#include "policy/policy.h"

/* The line of the file that the text stands in, by the text itself: options keep the file's. 0: it
 * came from elsewhere. */
static uint32_t settings_line(const struct toml_file *file, const char *text)
{
	for (size_t i = 0; file && i < toml_file_count(file); i++)
		if (toml_file_entry(file, i)->text == text)
			return toml_file_entry(file, i)->line;
	return 0;
}

static int settings_add(struct policy *p, enum policy_list list, const struct option_list *rules,
	const struct toml_file *file, const char *option)
{
	char where[64], why[NET_RULE_WHY_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->count; i++) {
		uint32_t line = settings_line(file, rules->items[i]);

		(void)snprintf(where, sizeof(where), TREE_CONFIG_FILE ":%" PRIu32, line);
		r = policy_add(p, list, rules->items[i], line ? where : option, why);
	}
	return r;
}

static void settings_freep(struct policy **p)
{
	policy_free(*p);
}

int network_settings_make(const struct os_run_config *config, struct policy **ret_policy,
	struct network_limits *ret_limits)
{
	const struct os_network_config *c = &config->network;
	_cleanup_(settings_freep) struct policy *p = policy_new();
	int r = p ? 0 : -ENOMEM;

	if (r == 0)
		r = settings_add(p, POLICY_ALLOW, &c->allow, config->file, "--allow-net");
	if (r == 0)
		r = settings_add(p, POLICY_DENY, &c->deny, config->file, "--deny-net");
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
