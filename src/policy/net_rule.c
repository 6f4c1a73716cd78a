/* SPDX-License-Identifier: MIT */
/* What a rule covers: narrowly, widely, by name, and as the older wasmrun would have read it. */
#include "policy/net_rule.h"

#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "policy/reserved.h"

const struct net_rule_form net_rule_forms[] = {
	{ "api.example.com:443", "this name at this port",
		"this name and all below it, at this port" },
	{ "*.example.com", "all names below example.com, not itself; every port",
		"all names below example.com, and itself" },
	{ "localhost:5432", "the host's own 127.0.0.1 and ::1 at this port",
		"all of 127.0.0.0/8, ::1, 0.0.0.0, ::, and all names below localhost" },
	{ "192.0.2.7:8000-8999", "this address at ports 8000 to 8999",
		"the same, and IPv6 addresses that lead to it" },
	{ "10.1.0.0/16", "the addresses of this network",
		"the same, and IPv6 addresses that lead into it" },
	{ "[2001:db8::/32]:443", "the addresses of this network at this port", "the same" },
	{ "*", "every name and address that is public", "everything" },
	{ ":443", "what * allows, at this port", "everything at this port" },
};
const size_t net_rule_forms_len = ARRAY_LEN(net_rule_forms);

static bool net_rule_has_port(const struct net_rule *rule, uint16_t port)
{
	return port >= rule->first_port && port <= rule->last_port;
}

/* The two addresses that "localhost" has (RFC 6761, 6.3), of all that are loopback. */
static bool net_rule_is_localhost_addr(const struct ipaddr *addr)
{
	static const struct ipnet v4 = IPNET_V4(127, 0, 0, 1, 32);
	static const struct ipnet v6 = IPNET_V6(0, 0, 0, 0, 0, 0, 0, 1, 128);

	return ipnet_has(&v4, addr) || ipnet_has(&v6, addr);
}

bool net_rule_allows(const struct net_rule *rule, const struct destination *d)
{
	bool is_name = d->name[0] != '\0';

	if (!net_rule_has_port(rule, d->port))
		return false;
	switch (rule->kind) {
	case NET_RULE_ANY:
		return !is_name || !hostname_is_localhost(d->name);
	case NET_RULE_LOCALHOST:
		return is_name ? strcmp(d->name, "localhost") == 0
			       : net_rule_is_localhost_addr(&d->addr);
	case NET_RULE_NAME:
		return strcmp(d->name, rule->name) == 0;
	case NET_RULE_DOMAIN:
		return hostname_is_below(d->name, rule->name);
	case NET_RULE_NETWORK:
		return !is_name && ipnet_has(&rule->net, &d->addr);
	}
	return false;
}

static bool net_rule_denies_addr(const struct net_rule *rule, const struct ipaddr *addr)
{
	if (rule->kind == NET_RULE_LOCALHOST)
		return reserved_is_loopback(addr) || reserved_is_unspecified(addr);
	return rule->kind == NET_RULE_NETWORK && ipnet_has(&rule->net, addr);
}

bool net_rule_denies(const struct net_rule *rule, const struct destination *d)
{
	struct ipaddr embedded[IPADDR_EMBEDDED_MAX];
	size_t n;

	if (!net_rule_has_port(rule, d->port))
		return false;
	if (rule->kind == NET_RULE_ANY)
		return true;
	if (d->name[0]) {
		if (rule->kind == NET_RULE_LOCALHOST)
			return hostname_is_localhost(d->name);
		/* The older reading of a name, by which it covers all below it, is the wide one. */
		return net_rule_allowed_once(rule, d);
	}
	if (net_rule_denies_addr(rule, &d->addr))
		return true;
	n = ipaddr_embedded(&d->addr, embedded);
	for (size_t i = 0; i < n; i++)
		if (net_rule_denies_addr(rule, &embedded[i]))
			return true;
	return false;
}

bool net_rule_names(
	const struct net_rule *rule, const struct ipaddr *addr, uint16_t port, uint8_t bits)
{
	if (!net_rule_has_port(rule, port))
		return false;
	if (rule->kind == NET_RULE_LOCALHOST)
		return net_rule_is_localhost_addr(addr);
	return rule->kind == NET_RULE_NETWORK && rule->net.bits >= bits &&
	       ipnet_has(&rule->net, addr);
}

bool net_rule_allowed_once(const struct net_rule *rule, const struct destination *d)
{
	return (rule->kind == NET_RULE_NAME || rule->kind == NET_RULE_DOMAIN) && d->name[0] &&
	       net_rule_has_port(rule, d->port) &&
	       (strcmp(d->name, rule->name) == 0 || hostname_is_below(d->name, rule->name));
}

const char *net_rule_format(const struct net_rule *rule, char text[NET_RULE_TEXT_MAX])
{
	char host[HOSTNAME_SIZE] = "*", ports[sizeof(":65535-65535")] = "";

	if (rule->kind == NET_RULE_NETWORK)
		(void)ipnet_format(&rule->net, host);
	else if (rule->kind != NET_RULE_ANY)
		memcpy(host, rule->name, sizeof(host));
	if (rule->first_port == rule->last_port)
		(void)snprintf(ports, sizeof(ports), ":%u", rule->first_port);
	else if (rule->first_port > 1 || rule->last_port < UINT16_MAX)
		(void)snprintf(ports, sizeof(ports), ":%u-%u", rule->first_port, rule->last_port);
	(void)snprintf(text, NET_RULE_TEXT_MAX, "%s%s%s", rule->kind == NET_RULE_DOMAIN ? "*." : "",
		host, ports);
	return text;
}

const char *net_rule_suggest(const struct destination *d, char text[NET_RULE_TEXT_MAX])
{
	char plain[DESTINATION_TEXT_MAX];

	if (!d->name[0] && net_rule_is_localhost_addr(&d->addr))
		(void)snprintf(text, NET_RULE_TEXT_MAX, "localhost:%u", d->port);
	else
		(void)snprintf(text, NET_RULE_TEXT_MAX, "%s", destination_format(d, plain));
	return text;
}
