/* SPDX-License-Identifier: MIT */
/*
 * One rule of a network policy, alone: its text, and what it covers.
 *
 *   rule   = host [":" ports] / ":" ports            ":443" is "*:443"
 *   host   = "*" / "localhost" / name / "*." name / ipv4 ["/" length] / "[" ipv6 ["/" length] "]"
 *   ports  = port / port "-" port                    without them: every port
 *
 * A rule is narrow where it allows and wide where it denies: what somebody has forgotten is
 * refused. net_rule_forms says for each form what it covers, and is the table of the manual page.
 */
#ifndef POLICY_NET_RULE_H
#define POLICY_NET_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/destination.h"

/* Of a rule and its NUL; a name may end in the root's dot. */
#define NET_RULE_TEXT_MAX (sizeof("*..:65535-65535") + HOSTNAME_MAX)
#define NET_RULE_WHY_MAX 544

enum net_rule_kind {
	NET_RULE_ANY,
	NET_RULE_LOCALHOST,
	NET_RULE_NAME,
	NET_RULE_DOMAIN,
	NET_RULE_NETWORK, /* of a single address, too */
};

struct net_rule {
	enum net_rule_kind kind;
	char name[HOSTNAME_SIZE]; /* "" of NET_RULE_ANY and NET_RULE_NETWORK */
	struct ipnet net;         /* of NET_RULE_NETWORK */
	uint16_t first_port, last_port;
};

/* A row for each form of a rule. */
struct net_rule_form {
	const char *example; /* a rule */
	const char *allows, *denies;
};
extern const struct net_rule_form net_rule_forms[];
extern const size_t net_rule_forms_len;

/*
 * -EINVAL: ret_why is one line that says what is wrong, and what to write in its place. What it
 * quotes of the text is escaped; what stands behind "write" in quotes is a rule.
 */
int net_rule_parse(const char *text, struct net_rule *ret_rule, char ret_why[NET_RULE_WHY_MAX]);

/* The narrow reading, before a name is resolved. "*" covers all addresses here: see policy.c. */
bool net_rule_allows(const struct net_rule *rule, const struct destination *d);

/* The wide reading. For an IPv6 address that leads to IPv4 ones, those count as well. */
bool net_rule_denies(const struct net_rule *rule, const struct destination *d);

/*
 * The rule was written for this address, or for a network of at least `bits` of prefix that it is
 * in. So nobody opens a private network by a rule that is wider than that.
 */
bool net_rule_names(
	const struct net_rule *rule, const struct ipaddr *addr, uint16_t port, uint8_t bits);

/* What the older wasmrun would have allowed by a rule with a name: that name and all below it,
 * whether or not "*." stands before it. */
bool net_rule_allowed_once(const struct net_rule *rule, const struct destination *d);

/* The way back, in one spelling for all rules that mean the same. Returns `text`. */
const char *net_rule_format(const struct net_rule *rule, char text[NET_RULE_TEXT_MAX]);

/* The narrowest rule for a destination: "localhost:5432", "api.example.com:443". Returns `text`. */
const char *net_rule_suggest(const struct destination *d, char text[NET_RULE_TEXT_MAX]);

#endif
