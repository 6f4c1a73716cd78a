/* SPDX-License-Identifier: MIT */
/*
 * What the application may reach: the policy that holds now, its limits, the judgement by them, and
 * the last judgements. All of it is for the loop's thread, and nothing waits.
 *
 * Over the policy stands what no rule can allow: the page with its API, and that of each other
 * `wasmrun os` of this user's; the gate that hands out the application's visitors; and the relay's
 * control port. The addresses of this machine are known to
 * the policy, and renewed when they change.
 *
 * A name is judged by network_judge() before it is resolved, and again by
 * network_judge_resolved() with each of its addresses, right before that one is dialled.
 */
#ifndef OS_NETWORK_H
#define OS_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "os/network_decisions.h"
#include "os/network_settings.h"
#include "policy/policy.h"

struct addr;
struct log_ring;
struct network;

/* What of ours no rule can allow. */
enum network_own { NETWORK_PAGE, NETWORK_GATE, NETWORK_RELAY, NETWORK_OWNS };

/* --- its life --- */

/* Nothing is allowed until network_set(). `loop` NULL: this machine's addresses are as they are
 * now. The ring hears of refusals as the log does; it may be NULL. -ENOMEM. */
int network_new(uv_loop_t *loop, struct log_ring *ring, struct network **ret_network);
/* Frees, without followers; `closed` is the last call, and may come from within. */
void network_close(struct network *n, void (*closed)(void *owner), void *owner);

/* `host` is an address or a name; port 0: it is no more. Takes the place of the one before. What is
 * connected there is closed, as by another policy. */
void network_protect(struct network *n, enum network_own own, const char *host, uint16_t port);
/* What the relay's name stands for: beside the addresses that it had before, as the relay may
 * listen there still. */
void network_protect_relay(struct network *n, const struct addr *addrs, size_t count);

/* --- judging --- */

struct ipaddr network_ipaddr(const struct addr *addr);

/* May the application connect there? The decision is kept, and a refusal gets a line in the log. */
bool network_judge(
	struct network *n, const struct destination *d, struct network_verdict *ret_verdict);

/* The same of an address that the name in `d` has, and of the name again. Only a refusal is kept:
 * the yes to the name is. */
bool network_judge_resolved(struct network *n, const struct destination *d,
	const struct ipaddr *addr, struct network_verdict *ret_verdict);

/* May it have an address for this name, of a struct destination? So it is if it may connect to some
 * port there. Only a refusal is kept. */
bool network_judge_name(struct network *n, const char *name, struct network_verdict *ret_verdict);

/* The judgement alone, for a connection that there is already, or for somebody who asks. `addr`
 * NULL: not resolved, or `d` is an address. */
bool network_allows(struct network *n, const struct destination *d, const struct ipaddr *addr,
	struct network_verdict *ret_verdict);

/* May it listen on this TCP port, beside the gate's? Nothing is kept. */
bool network_may_bind(const struct network *n, uint16_t port);

const struct network_limits *network_limits(const struct network *n);

/* Keeps and logs a refusal that was made elsewhere: "the application may not `act` '`asked`'".
 * `asked` is of the application's choice, `why` a clause. */
void network_note_refusal(struct network *n, const char *act, const char *asked, const char *why);

/* --- changing it --- */

/* Takes the policy over. It holds for the next judgement; then those who follow are called.
 * -ENOMEM: the old one stays, and `p` is freed. */
int network_set(struct network *n, struct policy *p, const struct network_limits *limits);
const struct policy *network_policy(const struct network *n);

/* Embedded in who wants to hear of it, and unlinked by him (list_remove()) before he goes. */
struct network_follower {
	/* Another policy holds, or the addresses of this machine are others: close what
	 * network_allows() refuses now. Must not unlink another one. */
	void (*changed)(struct network_follower *f);
	struct list link;
};
void network_follow(struct network *n, struct network_follower *f);

/* --- what was decided --- */

/* Each decision when it is new, and its repeats at most once a second. One listener. */
void network_listen(struct network *n, network_decision_fn decided, void *owner);

/* The last ones. */
const struct network_decisions *network_decisions(const struct network *n);

struct network_counts {
	uint64_t allowed, refused; /* judgements that were kept, with repeats */
	uint64_t changes;          /* of the policy since the start */
};
struct network_counts network_counts(const struct network *n);

#endif
