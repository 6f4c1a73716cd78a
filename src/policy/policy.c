/* SPDX-License-Identifier: MIT */
/*
 * The order of a judgement is what makes it safe. Deny comes first, over everything that the
 * destination may stand for. Then each address that is not public wants a rule that names it: an
 * IPv6 address that leads to an IPv4 one has to pass for both, or a gateway would be a way round.
 * Only then is it asked which rule allows it. So "*" may cover every address in net_rule_allows():
 * one that it must not include never gets there.
 */
#include "policy/policy.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/log.h"

struct policy_rules {
	struct policy_rule **items; /* owned, one by one: verdicts point to them */
	size_t count;
};

struct policy {
	struct policy_rules lists[POLICY_LISTS];
	struct ipaddr *own; /* this machine's addresses */
	size_t own_count;
};

struct policy *policy_new(void)
{
	return calloc(1, sizeof(struct policy));
}

struct policy *policy_free(struct policy *p)
{
	if (!p)
		return NULL;
	for (size_t list = 0; list < POLICY_LISTS; list++) {
		for (size_t i = 0; i < p->lists[list].count; i++)
			free(p->lists[list].items[i]);
		free(p->lists[list].items);
	}
	free(p->own);
	free(p);
	return NULL;
}

int policy_add(struct policy *p, enum policy_list list, const char *text, const char *where,
	char ret_why[NET_RULE_WHY_MAX])
{
	struct policy_rules *rules = &p->lists[list];
	struct policy_rule **grown, *added;
	struct net_rule rule;
	int r = net_rule_parse(text, &rule, ret_why);

	if (r < 0)
		return r;
	if (rules->count == POLICY_RULES_MAX) {
		(void)snprintf(ret_why, NET_RULE_WHY_MAX,
			"there are more than %d rules: one for a network or for '*.' can stand for "
			"many",
			POLICY_RULES_MAX);
		return -E2BIG;
	}
	(void)snprintf(ret_why, NET_RULE_WHY_MAX, "out of memory");
	grown = reallocarray(rules->items, rules->count + 1, sizeof(struct policy_rule *));
	if (!grown)
		return -ENOMEM;
	rules->items = grown;
	added = malloc(sizeof(*added));
	if (!added)
		return -ENOMEM;
	added->rule = rule;
	(void)snprintf(added->text, sizeof(added->text), "%s", text);
	(void)log_escape(added->where, sizeof(added->where), where, strlen(where));
	rules->items[rules->count++] = added;
	return 0;
}

const struct policy_rule *policy_rule_at(
	const struct policy *p, enum policy_list list, size_t index)
{
	return index < p->lists[list].count ? p->lists[list].items[index] : NULL;
}

int policy_set_own(struct policy *p, const struct ipaddr *addrs, size_t count)
{
	struct ipaddr *own;

	if (count > POLICY_ADDRS_MAX)
		return -E2BIG;
	own = calloc(count + 1, sizeof(*own));
	if (!own)
		return -ENOMEM;
	if (count > 0)
		memcpy(own, addrs, count * sizeof(*own));
	free(p->own);
	p->own = own;
	p->own_count = count;
	return 0;
}

/* Loopback has a row of its own, where "localhost" names it. */
static bool policy_is_own(const struct policy *p, const struct ipaddr *addr)
{
	for (size_t i = 0; i < p->own_count; i++)
		if (ipaddr_equal(&p->own[i], addr))
			return !reserved_is_loopback(addr);
	return false;
}

static const struct policy_rule *policy_find(const struct policy *p, enum policy_list list,
	bool (*covers)(const struct net_rule *rule, const struct destination *d),
	const struct destination *d)
{
	const struct policy_rules *rules = &p->lists[list];

	for (size_t i = 0; i < rules->count; i++)
		if (covers(&rules->items[i]->rule, d))
			return rules->items[i];
	return NULL;
}

/* The rule that names an address which is not public. */
static const struct policy_rule *policy_find_naming(
	const struct policy *p, const struct ipaddr *addr, uint16_t port, uint8_t bits)
{
	const struct policy_rules *rules = &p->lists[POLICY_ALLOW];

	for (size_t i = 0; i < rules->count; i++)
		if (net_rule_names(&rules->items[i]->rule, addr, port, bits))
			return rules->items[i];
	return NULL;
}

/* False: a rule denies it. */
static bool policy_pass_deny(const struct policy *p, const struct destination *d, struct verdict *v)
{
	const struct policy_rule *allow;

	v->rule = policy_find(p, POLICY_DENY, net_rule_denies, d);
	if (!v->rule)
		return true;
	v->cause = VERDICT_DENIED;
	/* In the older wasmrun '*' in deny meant: nothing but what is in allow. */
	allow = policy_find(p, POLICY_ALLOW, net_rule_allows, d);
	if (strcmp(v->rule->text, "*") == 0 && allow)
		v->older = v->rule;
	return false;
}

/* False: the address must be named, and is not. v->rule is the one that names it. */
static bool policy_pass_named(
	const struct policy *p, const struct ipaddr *addr, uint16_t port, struct verdict *v)
{
	const struct reserved *row = reserved_find(addr);
	const struct destination d = destination_of_addr(addr, port);
	bool own = policy_is_own(p, addr);
	char net[IPNET_TEXT_MAX];

	if (!row && !own)
		return true;
	v->rule = policy_find_naming(p, addr, port, own ? 128 : row->net.bits);
	if (v->rule)
		return true;
	v->cause = own ? VERDICT_OWN : VERDICT_RESERVED;
	v->reserved = own ? NULL : row;
	v->addr = *addr;
	if (!own && row->gateway)
		(void)snprintf(
			v->remedy, sizeof(v->remedy), "%s:%u", ipnet_format(&row->net, net), port);
	else
		(void)net_rule_suggest(&d, v->remedy);
	return false;
}

/* Everything about an address but whether a rule allows it. */
static bool policy_pass_addr(const struct policy *p, const struct destination *d, struct verdict *v)
{
	static const struct ipnet nobody = IPNET_V4(0, 0, 0, 0, 8);
	struct ipaddr embedded[IPADDR_EMBEDDED_MAX];
	size_t n = ipaddr_embedded(&d->addr, embedded);
	const struct policy_rule *naming;

	if (!policy_pass_deny(p, d, v) || !policy_pass_named(p, &d->addr, d->port, v))
		return false;
	naming = v->rule;
	for (size_t i = 0; i < n; i++) {
		/* One reading of several, and no address that a gateway could send to. */
		if (ipnet_has(&nobody, &embedded[i]))
			continue;
		if (!policy_pass_named(p, &embedded[i], d->port, v))
			return false;
	}
	v->rule = naming;
	return true;
}

static void policy_pass_allow(
	const struct policy *p, const struct destination *d, struct verdict *v)
{
	struct net_rule meant;

	/* A rule that names the address says more than a "*" that stands before it. */
	if (!v->rule)
		v->rule = policy_find(p, POLICY_ALLOW, net_rule_allows, d);
	v->cause = v->rule ? VERDICT_ALLOWED : VERDICT_UNKNOWN;
	if (v->rule)
		return;
	(void)net_rule_suggest(d, v->remedy);
	v->older = policy_find(p, POLICY_ALLOW, net_rule_allowed_once, d);
	if (!v->older)
		return;
	/* In the older wasmrun a name covered all below it, and "*." covered the name itself. */
	meant = v->older->rule;
	meant.kind = meant.kind == NET_RULE_NAME ? NET_RULE_DOMAIN : NET_RULE_NAME;
	(void)net_rule_format(&meant, v->older_remedy);
}

void policy_judge(const struct policy *p, const struct destination *d, struct verdict *ret_verdict)
{
	struct verdict v = { 0 };

	if (d->name[0] ? policy_pass_deny(p, d, &v) : policy_pass_addr(p, d, &v))
		policy_pass_allow(p, d, &v);
	*ret_verdict = v;
}

/*
 * The verdict about the name at one of the ports that the rule allows, if it covers the name; about
 * one that is not denied, if there is any. What is left of its range by the denied ones begins
 * where the range does, or right behind one of those.
 */
static void policy_judge_range(const struct policy *p, struct destination *d,
	const struct net_rule *allow, struct verdict *v)
{
	const struct policy_rules *deny = &p->lists[POLICY_DENY];

	d->port = allow->first_port;
	if (!net_rule_allows(allow, d))
		return;
	policy_judge(p, d, v);
	for (size_t i = 0; !verdict_is_allowed(v) && i < deny->count; i++) {
		const struct net_rule *rule = &deny->items[i]->rule;

		d->port = rule->last_port;
		if (d->port >= allow->last_port || !net_rule_denies(rule, d))
			continue;
		d->port++;
		if (net_rule_allows(allow, d))
			policy_judge(p, d, v);
	}
}

void policy_judge_name(const struct policy *p, const char *name, struct verdict *ret_verdict)
{
	const struct policy_rules *allow = &p->lists[POLICY_ALLOW];
	struct destination d = { 0 };
	struct verdict v = { 0 };

	(void)snprintf(d.name, sizeof(d.name), "%s", name);
	for (size_t i = 0; !verdict_is_allowed(&v) && i < allow->count; i++)
		policy_judge_range(p, &d, &allow->items[i]->rule, &v);
	if (!v.rule) {
		/* None covers it, whatever the port. One may deny it all the same, and say so. */
		d.port = 1;
		policy_judge(p, &d, &v);
		if (v.cause == VERDICT_UNKNOWN)
			(void)snprintf(v.remedy, sizeof(v.remedy), "%s", name);
	}
	*ret_verdict = v;
}

void policy_judge_resolved(const struct policy *p, const struct destination *d,
	const struct ipaddr *addr, struct verdict *ret_verdict)
{
	const struct destination at = destination_of_addr(addr, d->port);
	struct verdict v = { .resolved = true };

	assert(d->name[0]);
	policy_judge(p, d, ret_verdict);
	if (!verdict_is_allowed(ret_verdict))
		return;
	if (policy_pass_addr(p, &at, &v)) {
		v.rule = ret_verdict->rule;
		v.cause = VERDICT_ALLOWED;
	}
	*ret_verdict = v;
}

const char *verdict_explain(const struct verdict *v, char text[VERDICT_TEXT_MAX])
{
	char addr[IPADDR_TEXT_MAX], older[896] = "";

	if (v->older && v->older_remedy[0])
		(void)snprintf(older, sizeof(older), "; '%s' (%s) doesn't cover it: write '%s' too",
			v->older->text, v->older->where, v->older_remedy);
	switch (v->cause) {
	case VERDICT_ALLOWED:
		(void)snprintf(text, VERDICT_TEXT_MAX, "'%s' (%s) allows it", v->rule->text,
			v->rule->where);
		break;
	case VERDICT_DENIED:
		(void)snprintf(text, VERDICT_TEXT_MAX, "'%s' (%s) denies it%s", v->rule->text,
			v->rule->where,
			v->older ? ": leave it out, for what no rule allows is refused anyway"
				 : "");
		break;
	case VERDICT_UNKNOWN:
		(void)snprintf(text, VERDICT_TEXT_MAX, "no rule allows it: allow '%s'%s", v->remedy,
			older);
		break;
	case VERDICT_RESERVED:
		(void)snprintf(text, VERDICT_TEXT_MAX,
			"%s is %s (%s) and must be named%s: allow '%s'",
			ipaddr_format(&v->addr, addr), v->reserved->what, v->reserved->source,
			v->resolved ? ", too" : "", v->remedy);
		break;
	case VERDICT_OWN:
		(void)snprintf(text, VERDICT_TEXT_MAX,
			"%s is an address of this machine and must be named%s: allow '%s'",
			ipaddr_format(&v->addr, addr), v->resolved ? ", too" : "", v->remedy);
		break;
	}
	return text;
}
