/* SPDX-License-Identifier: MIT */
/*
 * A slot is used once it was needed, and after the last one the oldest is used again. Every
 * decision is looked for among those that are kept, so their hashes stand beside each other.
 */
#include "os/network_decisions.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

struct network_decision_slot {
	struct list link;
	uint64_t told_ms; /* monotonic */
	struct network_decision decision;
};

int network_decisions_init(struct network_decisions *d)
{
	list_init(&d->order);
	d->count = 0;
	d->last = 0;
	d->slots = calloc(NETWORK_DECISIONS_MAX, sizeof(*d->slots));
	return d->slots ? 0 : -ENOMEM;
}

void network_decisions_deinit(struct network_decisions *d)
{
	free(d->slots);
}

static struct network_decision_slot *decisions_find(struct network_decisions *d, uint64_t hash,
	const char *asked, const struct network_verdict *verdict)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct network_decision *decision = &d->slots[i].decision;

		if (d->hashes[i] == hash && strcmp(decision->asked, asked) == 0 &&
			decision->verdict.allowed == verdict->allowed &&
			strcmp(decision->verdict.why, verdict->why) == 0)
			return &d->slots[i];
	}
	return NULL;
}

static struct network_decision_slot *decisions_take_slot(struct network_decisions *d)
{
	struct list *oldest;

	if (d->count < NETWORK_DECISIONS_MAX) {
		list_init(&d->slots[d->count].link);
		return &d->slots[d->count++];
	}
	oldest = list_first(&d->order);
	assert(oldest); /* all slots are in it */
	list_remove(oldest);
	return list_entry(oldest, struct network_decision_slot, link);
}

enum network_news network_decisions_add(struct network_decisions *d, const char *asked,
	const struct network_verdict *verdict, const struct network_decision **ret_decision)
{
	/* No secret seed: who makes texts collide makes their comparison slower, by his own
	 * requests alone, of which all are compared then. */
	uint64_t hash = hash_bytes(0, verdict->why, strlen(verdict->why)), now_ms = clock_now_ms();
	enum network_news news = NETWORK_QUIET;
	struct network_decision_slot *slot;
	char cut[DESTINATION_TEXT_MAX];

	(void)snprintf(cut, sizeof(cut), "%s", asked);
	hash ^= hash_bytes(1, cut, strlen(cut));
	slot = decisions_find(d, hash, cut, verdict);
	if (slot) {
		list_remove(&slot->link);
		if (now_ms - slot->told_ms >= NETWORK_REPEAT_MS)
			news = NETWORK_REPEAT;
	} else {
		slot = decisions_take_slot(d);
		slot->decision = (struct network_decision){ .first_ms = clock_wall_ms(),
			.verdict = *verdict };
		memcpy(slot->decision.asked, cut, sizeof(cut));
		d->hashes[slot - d->slots] = hash;
		news = NETWORK_NEW;
	}
	if (news != NETWORK_QUIET)
		slot->told_ms = now_ms;
	slot->decision.seq = ++d->last;
	slot->decision.last_ms = clock_wall_ms();
	slot->decision.count++;
	list_push_back(&d->order, &slot->link);
	*ret_decision = &slot->decision;
	return news;
}

void network_decisions_each(
	const struct network_decisions *d, uint64_t since, network_decision_fn fn, void *owner)
{
	const struct list *first = d->order.prev;

	/* From the newest back, as only few of them are new to who asks again and again. */
	while (first != &d->order &&
		list_entry(first, struct network_decision_slot, link)->decision.seq > since)
		first = first->prev;
	for (const struct list *pos = first->next; pos != &d->order; pos = pos->next)
		fn(owner, &list_entry(pos, struct network_decision_slot, link)->decision);
}
