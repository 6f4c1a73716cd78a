/* SPDX-License-Identifier: MIT */
/*
 * What was decided about the application's connections, in a ring. A repeat of a decision isn't
 * another one: it counts to the first, and makes that the newest.
 */
#ifndef OS_NETWORK_DECISIONS_H
#define OS_NETWORK_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "policy/policy.h"

#define NETWORK_DECISIONS_MAX 1000
#define NETWORK_REPEAT_MS 1000 /* a repeat is told at most so often */

struct network_verdict {
	bool allowed;
	char rule[NET_RULE_TEXT_MAX];   /* that decided, as it was written; "": none did */
	char where[POLICY_WHERE_MAX];   /* it stands: "wasmrun.toml:12"; "": none did */
	char remedy[NET_RULE_TEXT_MAX]; /* to add to `allow`; "": no rule helps, or none is needed
					 */
	char why[VERDICT_TEXT_MAX];     /* a clause with all of that, printable ASCII */
};

struct network_decision {
	uint64_t seq;                     /* from 1 on; a repeat gives it a new one */
	uint64_t first_ms, last_ms;       /* wall clock */
	uint64_t count;                   /* with its repeats */
	char asked[DESTINATION_TEXT_MAX]; /* "name:443"; without a port where none was said */
	struct network_verdict verdict;
};

/* Must not add one. */
typedef void (*network_decision_fn)(void *owner, const struct network_decision *decision);

struct network_decision_slot;

/* Embedded in its owner. */
struct network_decisions {
	struct network_decision_slot *slots; /* owned */
	struct list order;                   /* of the used ones, oldest first */
	size_t count;
	uint64_t last;                          /* the number of the newest; 0: there is none */
	uint64_t hashes[NETWORK_DECISIONS_MAX]; /* by slot */
};

enum network_news {
	NETWORK_NEW,    /* it is another one than all that are kept */
	NETWORK_REPEAT, /* to be told, NETWORK_REPEAT_MS after the last time */
	NETWORK_QUIET,
};

/* -ENOMEM. */
int network_decisions_init(struct network_decisions *d);
void network_decisions_deinit(struct network_decisions *d);

/* `asked` is cut. *ret_decision is valid until the next one. */
enum network_news network_decisions_add(struct network_decisions *d, const char *asked,
	const struct network_verdict *verdict, const struct network_decision **ret_decision);

/* Those with a number above `since`, oldest first. */
void network_decisions_each(
	const struct network_decisions *d, uint64_t since, network_decision_fn fn, void *owner);

#endif
