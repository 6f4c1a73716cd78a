/* SPDX-License-Identifier: MIT */
/*
 * A judgement has two parts. What is ours is refused first, by the address and the port that it
 * listens on; all else is up to the policy. Whatever is this machine by any address reaches what
 * listens on its loopback, or on all of its addresses, so those count as one there.
 *
 * What happens, and what it leads to:
 *   network_set()          the old policy is freed, the followers are called
 *   addresses have changed they are given to the policy, the followers are called
 *   a judgement            a decision; if it is a refusal, a line, as far as the episode has one
 *
 * The files of other runs are read anew for each judgement, and where netlink is not to be had the
 * addresses, too; while the followers are called, once for all of them.
 */
#include "os/network.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/parse.h"
#include "net/addr.h"
#include "net/addr_monitor.h"
#include "net/dialer.h"
#include "os/log_ring.h"
#include "os/run_file.h"
#include "tunnel/episode.h"

#define LOG "network"
#define CONNECT "connect to"
#define OWN_ADDRS_MAX (4 * DIALER_ADDRS_MAX) /* of a name that has others each time */
#define LINE_MAX_LEN (2 * DESTINATION_TEXT_MAX + VERDICT_TEXT_MAX + 64)

struct own_place {
	uint16_t port; /* 0: there is none */
	char name[HOSTNAME_SIZE];
	struct ipaddr addrs[OWN_ADDRS_MAX]; /* that the name stands for, or the literal alone */
	size_t addr_count, next;            /* `next`: the place of another one */
};

struct network {
	struct policy *policy; /* owned */
	struct network_limits limits;
	struct own_place owns[NETWORK_OWNS];
	struct ipaddr addrs[POLICY_ADDRS_MAX]; /* of this machine */
	size_t addr_count;
	bool monitored; /* `monitor` is open */
	struct addr_monitor monitor;
	struct list followers;
	bool telling;                 /* the followers are called */
	bool pages_read;              /* since that has begun */
	uint16_t pages[RUN_LIST_MAX]; /* ports of what other runs of this user's have listen */
	size_t page_count;
	struct network_decisions decisions;
	struct network_counts counts;
	struct episode refusals;
	struct log_ring *ring;
	network_decision_fn decided;
	void *decided_owner;
	void (*closed)(void *owner);
	void *closed_owner;
};

static const char *const own_names[NETWORK_OWNS] = {
	[NETWORK_PAGE] = "the page and the API of wasmrun",
	[NETWORK_GATE] = "where wasmrun takes the application's visitors",
	[NETWORK_RELAY] = "the control port of the tunnel's server",
};

struct ipaddr network_ipaddr(const struct addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return ipaddr_from_v4((const uint8_t *)&addr->in4.sin_addr);
	return ipaddr_from_v6(addr->in6.sin6_addr.s6_addr);
}

/* --- the addresses of this machine --- */

static void network_read_addrs(struct network *n)
{
	struct ifaddrs *list, *pos;
	struct addr addr;

	/* Those before stay. */
	if (getifaddrs(&list) < 0)
		return;
	n->addr_count = 0;
	for (pos = list; pos && n->addr_count < POLICY_ADDRS_MAX; pos = pos->ifa_next)
		if (pos->ifa_addr && addr_from_sockaddr(pos->ifa_addr, &addr) == 0)
			n->addrs[n->addr_count++] = network_ipaddr(&addr);
	if (pos)
		log_warn(LOG,
			"this machine has more than %d addresses: a rule may reach the further "
			"ones without naming them",
			POLICY_ADDRS_MAX);
	freeifaddrs(list);
	if (policy_set_own(n->policy, n->addrs, n->addr_count) < 0)
		log_warn(LOG, "the addresses of this machine can't be renewed: out of memory");
}

/* They judge all that is open, by one reading of what a judgement alone would read for itself. */
static void network_tell_changed(struct network *n)
{
	if (!n->monitored)
		network_read_addrs(n);
	n->telling = true;
	n->pages_read = false;
	list_for_each_safe(pos, &n->followers) {
		struct network_follower *f = list_entry(pos, struct network_follower, link);

		f->changed(f);
	}
	n->telling = false;
}

static void on_addrs_changed(void *owner)
{
	struct network *n = owner;

	network_read_addrs(n);
	network_tell_changed(n);
}

/* --- its life --- */

static void network_freep(struct network **n)
{
	if (!*n)
		return;
	policy_free((*n)->policy);
	network_decisions_deinit(&(*n)->decisions);
	free(*n);
}

static void on_monitor_closed(struct addr_monitor *m)
{
	struct network *n = m->owner;
	void (*closed)(void *owner) = n->closed;
	void *owner = n->closed_owner;

	network_freep(&n);
	closed(owner);
}

int network_new(uv_loop_t *loop, struct log_ring *ring, struct network **ret_network)
{
	_cleanup_(network_freep) struct network *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	list_init(&n->followers);
	n->ring = ring;
	n->policy = policy_new();
	if (!n->policy || network_decisions_init(&n->decisions) < 0)
		return -ENOMEM;
	n->monitor.changed = on_addrs_changed;
	n->monitor.closed = on_monitor_closed;
	n->monitor.owner = n;
	n->monitor.fd = -1;
	n->monitored = loop && addr_monitor_open(&n->monitor, loop) == 0;
	network_read_addrs(n);
	*ret_network = take_ptr(n);
	return 0;
}

void network_close(struct network *n, void (*closed)(void *owner), void *owner)
{
	assert(list_empty(&n->followers));
	n->closed = closed;
	n->closed_owner = owner;
	if (n->monitored)
		addr_monitor_close(&n->monitor);
	else
		on_monitor_closed(&n->monitor);
}

/* --- what is ours --- */

/* True: it wasn't known. */
static bool own_add(struct own_place *place, struct ipaddr addr)
{
	for (size_t i = 0; i < place->addr_count; i++)
		if (ipaddr_equal(&place->addrs[i], &addr))
			return false;
	place->addrs[place->next] = addr;
	place->next = (place->next + 1) % OWN_ADDRS_MAX;
	place->addr_count += place->addr_count < OWN_ADDRS_MAX;
	return true;
}

void network_protect(struct network *n, enum network_own own, const char *host, uint16_t port)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	struct own_place place = { 0 };
	char why[DESTINATION_WHY_MAX];
	struct destination d;

	/* What can't be judged can't be asked for. */
	if (port > 0 && destination_parse(host, port, &d, why) == 0) {
		place.port = port;
		memcpy(place.name, d.name, sizeof(place.name));
		if (!d.name[0])
			(void)own_add(&place, d.addr);
		else if (hostname_is_localhost(d.name))
			(void)own_add(&place, ipaddr_from_v4(loopback));
	}
	if (n->owns[own].port == place.port && strcmp(n->owns[own].name, place.name) == 0 &&
		(place.name[0] || ipaddr_equal(&n->owns[own].addrs[0], &place.addrs[0])))
		return;
	n->owns[own] = place;
	network_tell_changed(n);
}

void network_protect_relay(struct network *n, const struct addr *addrs, size_t count)
{
	bool more = false;

	for (size_t i = 0; i < count; i++)
		more |= own_add(&n->owns[NETWORK_RELAY], network_ipaddr(&addrs[i]));
	if (more)
		network_tell_changed(n);
}

static bool network_is_here(const struct network *n, const struct ipaddr *addr)
{
	if (reserved_is_loopback(addr) || reserved_is_unspecified(addr))
		return true;
	for (size_t i = 0; i < n->addr_count; i++)
		if (ipaddr_equal(&n->addrs[i], addr))
			return true;
	return false;
}

static bool own_is_at(const struct network *n, const struct own_place *place, bool here,
	const struct ipaddr *addr)
{
	for (size_t i = 0; i < place->addr_count; i++)
		if (ipaddr_equal(&place->addrs[i], addr) ||
			(here && network_is_here(n, &place->addrs[i])))
			return true;
	return false;
}

/* Where it leads, as far as that is known without a resolver; NULL: it isn't. */
static const struct ipaddr *network_known_addr(
	const struct destination *d, const struct ipaddr *resolved)
{
	static const struct ipnet localhost = IPNET_V4(127, 0, 0, 1, 32);

	if (resolved)
		return resolved;
	if (!d->name[0])
		return &d->addr;
	return hostname_is_localhost(d->name) ? &localhost.base : NULL;
}

/* What of ours is there, or NULL. */
static const char *network_find_own(
	const struct network *n, const struct destination *d, const struct ipaddr *addr)
{
	struct ipaddr at[1 + IPADDR_EMBEDDED_MAX];
	size_t count = 0;

	if (addr) {
		at[0] = *addr;
		count = 1 + ipaddr_embedded(&at[0], at + 1);
	}
	for (size_t own = 0; own < NETWORK_OWNS; own++) {
		const struct own_place *place = &n->owns[own];

		if (place->port != d->port)
			continue;
		if (d->name[0] && strcmp(d->name, place->name) == 0)
			return own_names[own];
		for (size_t i = 0; i < count; i++)
			if (own_is_at(n, place, network_is_here(n, &at[i]), &at[i]))
				return own_names[own];
	}
	return NULL;
}

static void network_read_pages(struct network *n)
{
	struct run_list list;

	n->page_count = 0;
	if (run_list_read(&list) < 0)
		return;
	for (size_t i = 0; i < list.count; i++) {
		const char *colon = strrchr(list.entries[i].url, ':');

		if (colon && parse_u16(colon + 1, strlen(colon + 1), &n->pages[n->page_count]) == 0)
			n->page_count++;
	}
	run_list_deinit(&list);
}

/*
 * Another `wasmrun os` of this user's has its page there. That asks nobody on this machine for a
 * token, and who writes to a project by it has written what is built with the user's rights.
 */
static bool network_is_other_page(struct network *n, uint16_t port)
{
	if (!n->telling || !n->pages_read)
		network_read_pages(n);
	n->pages_read = true;
	for (size_t i = 0; i < n->page_count; i++)
		if (n->pages[i] == port)
			return true;
	return false;
}

/* --- judging --- */

static void network_fill(const struct verdict *v, struct network_verdict *ret_verdict)
{
	*ret_verdict = (struct network_verdict){ .allowed = verdict_is_allowed(v) };
	if (v->rule) {
		memcpy(ret_verdict->rule, v->rule->text, sizeof(ret_verdict->rule));
		memcpy(ret_verdict->where, v->rule->where, sizeof(ret_verdict->where));
	}
	memcpy(ret_verdict->remedy, v->remedy, sizeof(ret_verdict->remedy));
	(void)verdict_explain(v, ret_verdict->why);
}

static bool network_refuse_own(const char *own, struct network_verdict *ret_verdict)
{
	*ret_verdict = (struct network_verdict){ 0 };
	(void)snprintf(ret_verdict->why, sizeof(ret_verdict->why),
		"it is %s, which no rule can allow", own);
	return false;
}

bool network_allows(struct network *n, const struct destination *d, const struct ipaddr *addr,
	struct network_verdict *ret_verdict)
{
	const struct ipaddr *known = network_known_addr(d, addr);
	const char *own;
	struct verdict v;

	if (!n->monitored && !n->telling)
		network_read_addrs(n);
	own = network_find_own(n, d, known);
	if (own)
		return network_refuse_own(own, ret_verdict);
	if (addr && d->name[0])
		policy_judge_resolved(n->policy, d, addr, &v);
	else
		policy_judge(n->policy, d, &v);
	network_fill(&v, ret_verdict);
	/* Last, for it reads files; and what leads elsewhere never waits for them. */
	if (ret_verdict->allowed && known && network_is_here(n, known) &&
		network_is_other_page(n, d->port))
		return network_refuse_own("the page of another 'wasmrun os'", ret_verdict);
	return ret_verdict->allowed;
}

static void network_log_refusal(
	struct network *n, const char *act, const struct network_decision *decision)
{
	uint64_t untold = n->refusals.untold;
	char line[LINE_MAX_LEN], asked[2 * DESTINATION_TEXT_MAX];

	if (!episode_tells(&n->refusals, decision->asked, clock_now_ms()))
		return;
	(void)log_escape(asked, sizeof(asked), decision->asked, strlen(decision->asked));
	if (untold)
		log_warn(LOG, "%" PRIu64 " more refusals were not logged%s", untold,
			n->ring ? ": see GET /api/network/decisions" : "");
	(void)snprintf(line, sizeof(line), "the application may not %s '%s': %s", act, asked,
		decision->verdict.why);
	log_warn(LOG, "%s", line);
	if (n->ring)
		log_ring_append(n->ring, LOG_STREAM_SUPERVISOR, line, strlen(line));
}

static void network_keep(
	struct network *n, const char *act, const char *asked, const struct network_verdict *v)
{
	const struct network_decision *decision;
	enum network_news news = network_decisions_add(&n->decisions, asked, v, &decision);

	if (v->allowed)
		n->counts.allowed++;
	else
		n->counts.refused++;
	if (news == NETWORK_NEW && !v->allowed)
		network_log_refusal(n, act, decision);
	if (news != NETWORK_QUIET && n->decided)
		n->decided(n->decided_owner, decision);
}

bool network_judge(
	struct network *n, const struct destination *d, struct network_verdict *ret_verdict)
{
	char asked[DESTINATION_TEXT_MAX];

	(void)network_allows(n, d, NULL, ret_verdict);
	network_keep(n, CONNECT, destination_format(d, asked), ret_verdict);
	return ret_verdict->allowed;
}

bool network_judge_resolved(struct network *n, const struct destination *d,
	const struct ipaddr *addr, struct network_verdict *ret_verdict)
{
	char asked[DESTINATION_TEXT_MAX];

	if (!network_allows(n, d, addr, ret_verdict))
		network_keep(n, CONNECT, destination_format(d, asked), ret_verdict);
	return ret_verdict->allowed;
}

bool network_judge_name(struct network *n, const char *name, struct network_verdict *ret_verdict)
{
	struct verdict v;

	policy_judge_name(n->policy, name, &v);
	network_fill(&v, ret_verdict);
	if (!ret_verdict->allowed)
		network_keep(n, CONNECT, name, ret_verdict);
	return ret_verdict->allowed;
}

void network_note_refusal(struct network *n, const char *act, const char *asked, const char *why)
{
	struct network_verdict v = { 0 };

	(void)snprintf(v.why, sizeof(v.why), "%s", why);
	network_keep(n, act, asked, &v);
}

bool network_may_bind(const struct network *n, uint16_t port)
{
	for (size_t i = 0; i < n->limits.bind_port_count; i++)
		if (n->limits.bind_ports[i] == port)
			return true;
	return false;
}

const struct network_limits *network_limits(const struct network *n)
{
	return &n->limits;
}

/* --- changing it --- */

int network_set(struct network *n, struct policy *p, const struct network_limits *limits)
{
	int r = policy_set_own(p, n->addrs, n->addr_count);

	if (r < 0) {
		policy_free(p);
		return r;
	}
	policy_free(n->policy);
	n->policy = p;
	n->limits = *limits;
	n->counts.changes++;
	(void)episode_end(&n->refusals);
	network_tell_changed(n);
	return 0;
}

const struct policy *network_policy(const struct network *n)
{
	return n->policy;
}

void network_follow(struct network *n, struct network_follower *f)
{
	list_push_back(&n->followers, &f->link);
}

/* --- what was decided --- */

void network_listen(struct network *n, network_decision_fn decided, void *owner)
{
	n->decided = decided;
	n->decided_owner = owner;
}

const struct network_decisions *network_decisions(const struct network *n)
{
	return &n->decisions;
}

struct network_counts network_counts(const struct network *n)
{
	return n->counts;
}
