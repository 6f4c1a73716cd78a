/* SPDX-License-Identifier: MIT */
/*
 * The instances of one application: the one that serves, the one that is to replace it, and those
 * that were replaced and finish what they have begun. It knows who takes whose place; what follows
 * for the application is its owner's business.
 */
#ifndef OS_LINEUP_H
#define OS_LINEUP_H

#include <stdbool.h>

#include "base/list.h"
#include "os/instance.h"

#define LINEUP_OLD_MAX 3 /* that finish at a time: each may be large */

/* What has happened to which instance; it is freed behind an event that tells its end. */
enum lineup_event {
	LINEUP_READY,    /* `app` takes connections */
	LINEUP_LATE,     /* `app` has not become ready in time, and ends */
	LINEUP_ENDED,    /* `app` has ended, and there is none */
	LINEUP_STEPS_IN, /* `app` has ended, and `next` is `app`, still starting */
	LINEUP_SWITCHED, /* `next` takes connections and is `app`, which is old now */
	LINEUP_NO_NEXT,  /* `next` has ended, or is late and one of the old */
	LINEUP_OLD_GONE, /* an old one has ended */
};

/* Never from within a call of the owner's. */
typedef void (*lineup_event_fn)(void *owner, enum lineup_event event, struct instance *i);

/* Embedded in its owner. */
struct lineup {
	struct instance *app; /* the application as others see it; NULL: none */
	struct instance
		*next;   /* is to replace it; only beside `app` unless all are ending; or NULL */
	struct list old; /* draining or ending; the last one to come first */
	struct instance_config config;
	lineup_event_fn event;
	void *owner;
};

/* config.events is set here. */
void lineup_init(
	struct lineup *l, const struct instance_config *config, lineup_event_fn event, void *owner);

/* Starts `next`, or `app` where there is none. The rest is as of instance_start(). */
int lineup_start(struct lineup *l, struct app_plan *plan, enum app_interface interface,
	struct instance **ret_instance, char ret_why[APP_WHY_MAX]);

/* Ends `app` and `next`, and the old ones as well if `all`. */
void lineup_end(struct lineup *l, bool all);

/* Kills everything. */
void lineup_kill(struct lineup *l);

/* Nobody is left, of the old ones, too, if `all`. */
bool lineup_is_empty(const struct lineup *l, bool all);

#endif
