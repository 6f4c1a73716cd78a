/* SPDX-License-Identifier: MIT */
/*
 * A version of the application goes from the builder, as a plan, to an instance, which owns it from
 * then on. An instance is `app` if there is none, else `next`, and takes the place of `app` when it
 * takes connections, or when `app` has ended before that. What was replaced is old, and so is a
 * `next` that is late; the plan of a crashed `app` comes back, to be started again.
 */
#include "os/lineup.h"

#include <stdio.h>

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

static void lineup_promote(struct lineup *l)
{
	l->app = take_ptr(l->next);
	l->kind = instance_kind(l->app);
}

static void lineup_on_instance_ready(void *owner, struct instance *i)
{
	struct lineup *l = owner;
	char text[64];

	l->ran = true;
	snprintf(text, sizeof text, "takes connections at http://%s", l->config.listen_addr);
	if (i == l->app) {
		l->event(l->owner, LINEUP_READY, text);
		return;
	}
	lineup_retire(l, l->app);
	lineup_promote(l);
	l->event(l->owner, LINEUP_SWITCHED, NULL);
}

static void lineup_on_instance_late(void *owner, struct instance *i)
{
	struct lineup *l = owner;
	char why[INSTANCE_REASON_MAX];

	instance_explain_end(i, l->ran, why);
	if (i == l->app) {
		l->event(l->owner, LINEUP_LATE, why);
		return;
	}
	lineup_retire(l, take_ptr(l->next));
	l->event(l->owner, LINEUP_NO_NEXT, why);
}

static enum lineup_event lineup_app_ended(struct lineup *l, struct instance *i)
{
	l->app = NULL;
	if (l->next && l->next->state == INSTANCE_STARTING) {
		lineup_promote(l);
		return LINEUP_STEPS_IN;
	}
	if (!l->ran || i->child.failed)
		return LINEUP_BROKEN;
	if (instance_was_content(i))
		return LINEUP_CONTENT;
	l->stage = i->stage;
	app_plan_clear(&l->plan);
	instance_give_plan(i, &l->plan);
	return LINEUP_CRASHED;
}

static void lineup_on_instance_ended(void *owner, struct instance *i)
{
	struct lineup *l = owner;
	enum lineup_event event = LINEUP_OLD_GONE;
	char why[INSTANCE_REASON_MAX];

	instance_explain_end(i, l->ran && i == l->app, why);
	if (i == l->app) {
		event = lineup_app_ended(l, i);
	} else if (i == l->next) {
		l->next = NULL;
		event = LINEUP_NO_NEXT;
	}
	list_remove(&i->link);
	l->event(l->owner, event, why);
}

/* Starts `plan`, which is empty then. */
static void lineup_start(struct lineup *l)
{
	struct instance **slot = l->app ? &l->next : &l->app;
	enum app_interface interface;
	char text[APP_WHY_MAX];
	int r = builder_check(&l->builder, &l->plan, &interface, text);

	if (!l->app)
		l->kind = app_interface_words[interface];
	if (r == 0)
		r = instance_start(&l->config, &l->plan, interface, slot, text);
	app_plan_clear(&l->plan);
	if (r == 0)
		snprintf(text, sizeof text, "%s, pid %d", instance_kind(*slot),
			(int)instance_pid(*slot));
	l->event(l->owner, r < 0 ? LINEUP_NOT_STARTED : LINEUP_STARTING, text);
}

static void lineup_on_building(void *owner)
{
	struct lineup *l = owner;

	l->event(l->owner, LINEUP_BUILDING, builder_kind(&l->builder));
}

static void lineup_on_built(void *owner, int r)
{
	struct lineup *l = owner;

	if (r < 0) {
		l->event(l->owner, LINEUP_NOT_BUILT, builder_why(&l->builder));
		return;
	}
	builder_take_plan(&l->builder, &l->plan);
	lineup_start(l);
}

static void lineup_on_looked(void *owner, int r, const struct module_info *info)
{
	struct lineup *l = owner;

	if (r < 0) {
		l->event(l->owner, LINEUP_NOT_STARTED, builder_why(&l->builder));
		return;
	}
	l->plan.info = *info;
	lineup_start(l);
}

static void lineup_on_changed(void *owner)
{
	struct lineup *l = owner;

	l->event(l->owner, LINEUP_CHANGED, NULL);
}

void lineup_init(
	struct lineup *l, const struct instance_config *config, lineup_event_fn event, void *owner)
{
	const struct builder_config builder_config = { .loop = config->loop,
		.run = config->run,
		.ring = config->ring,
		.guest_program = config->guest_program,
		.open_files = config->open_files };
	const struct builder_events builder_events = { .building = lineup_on_building,
		.done = lineup_on_built,
		.looked = lineup_on_looked,
		.changed = lineup_on_changed,
		.owner = l };

	l->event = event;
	l->owner = owner;
	list_init(&l->old);
	l->config = *config;
	l->config.events = (struct instance_events){ .ready = lineup_on_instance_ready,
		.late = lineup_on_instance_late,
		.ended = lineup_on_instance_ended,
		.owner = l };
	builder_init(&l->builder, &builder_config, &builder_events);
}

int lineup_build(struct lineup *l)
{
	return builder_start(&l->builder);
}

bool lineup_builds(const struct lineup *l)
{
	return builder_runs(&l->builder);
}

const char *lineup_building(const struct lineup *l)
{
	return builder_builds(&l->builder) ? builder_kind(&l->builder) : NULL;
}

int lineup_begin(struct lineup *l)
{
	app_plan_clear(&l->plan);
	l->kind = NULL;
	l->ran = false;
	return lineup_builds(l) ? 0 : lineup_build(l);
}

int lineup_start_again(struct lineup *l)
{
	return builder_look(&l->builder, &l->plan);
}

void lineup_forget_start(struct lineup *l)
{
	builder_forget_look(&l->builder);
}

void lineup_end(struct lineup *l, bool all)
{
	builder_end(&l->builder);
	instance_end(l->next);
	instance_end(l->app);
	if (all)
		list_for_each(link, &l->old)
			instance_end(list_entry(link, struct instance, link));
}

void lineup_kill(struct lineup *l)
{
	builder_kill(&l->builder);
	instance_kill(l->next);
	instance_kill(l->app);
	list_for_each(link, &l->old)
		instance_kill(list_entry(link, struct instance, link));
}

void lineup_condemn(struct lineup *l, const char *why)
{
	instance_condemn(l->next, why);
	instance_condemn(l->app, why);
	list_for_each(link, &l->old)
		instance_condemn(list_entry(link, struct instance, link), why);
}

bool lineup_is_empty(const struct lineup *l, bool all)
{
	return !l->app && !l->next && !lineup_builds(l) && (!all || list_empty(&l->old));
}

static void lineup_on_builder_closed(void *owner)
{
	struct lineup *l = owner;

	l->closed(l->owner);
}

void lineup_close(struct lineup *l, void (*closed)(void *owner))
{
	l->closed = closed;
	app_plan_clear(&l->plan);
	builder_close(&l->builder, lineup_on_builder_closed);
}
