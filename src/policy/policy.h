/* SPDX-License-Identifier: MIT */
/*
 * What the application may connect to: a list of rules that allow, a list of rules that deny, and
 * the judgement by them. Nothing here resolves, connects or waits.
 *
 * Deny wins over allow, and what no rule allows is refused. An address that is not public
 * (reserved.h), or that is this machine's, must be named by a rule of its own: neither "*", nor a
 * name that resolves to it, nor a wider network includes it.
 *
 * A connection is judged in one of two ways. An address: policy_judge() alone. A name:
 * policy_judge() before it is resolved, so that a refused name is never asked for; then
 * policy_judge_resolved() for each of its addresses, right before that address is dialled.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/destination.h"
#include "policy/net_rule.h"
#include "policy/reserved.h"

#define POLICY_RULES_MAX 256  /* of one list */
#define POLICY_WHERE_MAX 256  /* of the place of a rule, with its NUL; what is longer is cut */
#define POLICY_ADDRS_MAX 1024 /* of this machine */
#define VERDICT_TEXT_MAX 1280

enum policy_list { POLICY_ALLOW, POLICY_DENY, POLICY_LISTS };

struct policy_rule {
	struct net_rule rule;
	char text[NET_RULE_TEXT_MAX]; /* as it was written */
	char where[POLICY_WHERE_MAX]; /* "wasmrun.toml:12", "--allow-net" */
};

enum verdict_cause {
	VERDICT_UNKNOWN,  /* no rule allows it */
	VERDICT_DENIED,   /* a rule denies it */
	VERDICT_RESERVED, /* an address that is not public, which no rule names */
	VERDICT_OWN,      /* one of this machine, likewise */
	VERDICT_ALLOWED,
};

struct verdict {
	enum verdict_cause cause;
	const struct policy_rule *rule;  /* that decided; NULL: none did, so it is a refusal */
	const struct policy_rule *older; /* would have allowed it in the older wasmrun; or NULL */
	const struct reserved *reserved; /* of VERDICT_RESERVED */
	struct ipaddr addr;              /* of VERDICT_RESERVED and VERDICT_OWN: to be named */
	bool resolved;                   /* from a name that is allowed */
	/* The rule to add to `allow`. Another one may be missing after it; "": none would help. */
	char remedy[NET_RULE_TEXT_MAX];
	char older_remedy[NET_RULE_TEXT_MAX]; /* what `older` is to be now; "": to be left out */
};

struct policy;

/* With empty lists, which allow nothing. NULL: no memory. */
struct policy *policy_new(void);
struct policy *policy_free(struct policy *p);

/*
 * Adds a rule. -EINVAL, -E2BIG (POLICY_RULES_MAX) and -ENOMEM: nothing has changed, and ret_why is
 * one line about the reason (net_rule_parse()).
 */
int policy_add(struct policy *p, enum policy_list list, const char *text, const char *where,
	char ret_why[NET_RULE_WHY_MAX]);

/* By its place in the list, in the order in which they were added; NULL: behind the last. */
const struct policy_rule *policy_rule_at(
	const struct policy *p, enum policy_list list, size_t index);

/* Sets the addresses of this machine's interfaces in place of those before. -E2BIG (more than
 * POLICY_ADDRS_MAX), -ENOMEM: those before stay. */
int policy_set_own(struct policy *p, const struct ipaddr *addrs, size_t count);

/* What the verdict points to lives as long as the policy. */
void policy_judge(const struct policy *p, const struct destination *d, struct verdict *ret_verdict);

/* Of a name alone, before its port is known: it is allowed if some port of it is. */
void policy_judge_name(const struct policy *p, const char *name, struct verdict *ret_verdict);

/* `d` has a name, which is judged as well, and `addr` is one that it resolves to. */
void policy_judge_resolved(const struct policy *p, const struct destination *d,
	const struct ipaddr *addr, struct verdict *ret_verdict);

static inline bool verdict_is_allowed(const struct verdict *v)
{
	return v->cause == VERDICT_ALLOWED;
}

/*
 * A clause about it for people: which rule decided, and of a refusal what to write. All text of it
 * is printable ASCII. Returns `text`.
 */
const char *verdict_explain(const struct verdict *v, char text[VERDICT_TEXT_MAX]);

#endif
