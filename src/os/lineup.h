/* SPDX-License-Identifier: MIT */
/*
 * What there is of one application: what is built of it, the instance that serves, the one that is
 * to replace it, and those that were replaced and finish what they have begun. It knows what
 * becomes of whom; what follows for the application is its owner's business.
 */
#ifndef OS_LINEUP_H
#define OS_LINEUP_H

#include <stdbool.h>

#include "base/list.h"
#include "os/builder.h"
#include "os/instance.h"

#define LINEUP_OLD_MAX 3 /* that finish at a time: each may be large */

/* What has happened, and in brackets what the event's text says. Up to LINEUP_NOT_STARTED it is of
 * what is to be started, from there on of what runs. */
enum lineup_event {
	LINEUP_CHANGED,     /* the project */
	LINEUP_BUILDING,    /* there is something to build [its kind] */
	LINEUP_NOT_BUILT,   /* nothing was detected, or the build has failed [why] */
	LINEUP_STARTING,    /* `next`, else `app`, was started [its kind and pid] */
	LINEUP_NOT_STARTED, /* what was built can't be [why] */
	LINEUP_READY,       /* `app` takes connections [that, and where] */
	LINEUP_LATE,        /* `app` has not become ready in time, and ends [why] */
	LINEUP_STEPS_IN,    /* `app` has ended [why], and `next` is `app`, still starting */
	LINEUP_BROKEN,      /* `app` has ended [why], and it has never been running */
	LINEUP_CONTENT,     /* `app` has ended [why], by its own wish */
	LINEUP_CRASHED,     /* `app` has ended [why], and can be started again */
	LINEUP_SWITCHED,    /* `next` takes connections and is `app`, which is old now */
	LINEUP_NO_NEXT,     /* `next` has ended, or is late and one of the old [why] */
	LINEUP_OLD_GONE,    /* an old one has ended */
};

/* Never from within a call of the owner's. */
typedef void (*lineup_event_fn)(void *owner, enum lineup_event event, const char *text);

/* Embedded in its owner, who reads the first few. */
struct lineup {
	struct instance *app;      /* the application as others see it; NULL: none */
	struct instance *next;     /* is to replace it; only beside `app` unless all end; or NULL */
	const char *kind;          /* of `app`, running or not; NULL: none was built yet */
	enum instance_stage stage; /* that the crashed `app` had got to */
	bool ran;                  /* this application has been running */
	struct list old;           /* draining or ending; the last one to come first */
	struct app_plan plan;      /* of the crashed `app`; empty while an instance has it */
	struct builder builder;
	struct instance_config config;
	lineup_event_fn event;
	void (*closed)(void *owner);
	void *owner;
};

/* config.events is set here. */
void lineup_init(
	struct lineup *l, const struct instance_config *config, lineup_event_fn event, void *owner);

/* Detects, builds and starts, as `next` if there is an `app`; not while lineup_builds(). -ENOMEM.
 */
int lineup_build(struct lineup *l);
/* Whether that is under way, until an instance starts. */
bool lineup_builds(const struct lineup *l);

/* The kind of what a build command makes just now, after LINEUP_BUILDING; NULL: none runs. */
const char *lineup_building(const struct lineup *l);

/* Without `app`: forgets all of its past, and builds. What is under way goes on, for `app`.
 * -ENOMEM. */
int lineup_begin(struct lineup *l);

/* Starts the crashed `app` again, when its file was looked at. -ENOMEM. */
int lineup_start_again(struct lineup *l);
/* Unless it was forgotten meanwhile. */
void lineup_forget_start(struct lineup *l);

/* Ends the build, `app` and `next`, and the old ones as well if `all`. */
void lineup_end(struct lineup *l, bool all);

/* Kills everything. */
void lineup_kill(struct lineup *l);

/* Kills all instances, which have done what they must not. What is built goes on. */
void lineup_condemn(struct lineup *l, const char *why);

/* Nothing is left of these. */
bool lineup_is_empty(const struct lineup *l, bool all);

/* Of one that is empty. `closed` follows. */
void lineup_close(struct lineup *l, void (*closed)(void *owner));

#endif
