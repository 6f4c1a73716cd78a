/* SPDX-License-Identifier: MIT */
#include "os/lineup.h"

#include "base/owner.h"

/* It may finish what it has begun, if others don't need the room. */
static void lineup_retire(struct lineup *l, struct instance *i)
{
	unsigned count = 0;

	list_push_front(&l->old, &i->link);
	instance_drain(i);
	list_for_each(link, &l->old)
		if (++count > LINEUP_OLD_MAX)
			instance_end(list_entry(link, struct instance, link));
}

static void on_instance_ready(void *owner, struct instance *i)
{
	struct lineup *l = owner;

	if (i == l->app) {
		l->event(l->owner, LINEUP_READY, i);
		return;
	}
	lineup_retire(l, l->app);
	l->app = take_ptr(l->next);
	l->event(l->owner, LINEUP_SWITCHED, i);
}

static void on_instance_late(void *owner, struct instance *i)
{
	struct lineup *l = owner;

	if (i == l->app) {
		l->event(l->owner, LINEUP_LATE, i);
		return;
	}
	lineup_retire(l, take_ptr(l->next));
	l->event(l->owner, LINEUP_NO_NEXT, i);
}

static void on_instance_ended(void *owner, struct instance *i)
{
	struct lineup *l = owner;
	enum lineup_event event = LINEUP_OLD_GONE;

	if (i == l->next) {
		l->next = NULL;
		event = LINEUP_NO_NEXT;
	} else if (i != l->app) {
		list_remove(&i->link);
	} else if (l->next && l->next->state == INSTANCE_STARTING) {
		l->app = take_ptr(l->next);
		event = LINEUP_STEPS_IN;
	} else {
		l->app = NULL;
		event = LINEUP_ENDED;
	}
	l->event(l->owner, event, i);
}

void lineup_init(
	struct lineup *l, const struct instance_config *config, lineup_event_fn event, void *owner)
{
	*l = (struct lineup){ .config = *config, .event = event, .owner = owner };
	l->config.events = (struct instance_events){ .ready = on_instance_ready,
		.late = on_instance_late,
		.ended = on_instance_ended,
		.owner = l };
	list_init(&l->old);
}

int lineup_start(struct lineup *l, struct app_plan *plan, enum app_interface interface,
	struct instance **ret_instance, char ret_why[APP_WHY_MAX])
{
	struct instance **slot = l->app ? &l->next : &l->app;
	int r = instance_start(&l->config, plan, interface, slot, ret_why);

	if (r == 0)
		*ret_instance = *slot;
	return r;
}

void lineup_end(struct lineup *l, bool all)
{
	instance_end(l->next);
	instance_end(l->app);
	if (all)
		list_for_each(link, &l->old)
			instance_end(list_entry(link, struct instance, link));
}

void lineup_kill(struct lineup *l)
{
	instance_kill(l->next);
	instance_kill(l->app);
	list_for_each(link, &l->old)
		instance_kill(list_entry(link, struct instance, link));
}

bool lineup_is_empty(const struct lineup *l, bool all)
{
	return !l->app && !l->next && (!all || list_empty(&l->old));
}
