/* SPDX-License-Identifier: MIT */
/*
 * Promise: a change of the project is told after some quiet time, once, and is either in the build
 * that follows or told again: what has happened before a walk is in the next build, what happens
 * after it is seen.
 *
 * Events of inotify(7) only say that something has happened to a name in a folder that is watched,
 * and only folders are. So whatever may have brought folders (`walk`) or moved some (`rewind`: the
 * old ones are forgotten first) makes us walk through the project before anything is told.
 *
 * A walk is a job, since the project may be on a file system that doesn't answer. It adds each
 * folder to the same inotify instance, by a descriptor of its own, and hands over the list of them.
 * Until then nobody could say whose events those are: they stay in the kernel, which keeps them in
 * their order, or says IN_Q_OVERFLOW.
 *
 * Three things wait for a walk, each a flag that watch_followed() takes up: `telling`, when the
 * quiet time is over; `ending`, when a build has ended, so that its changes count as such;
 * `starting`, when the owner waits for `watching`. Each is set and then watch_follow() called,
 * which walks if that is needed.
 *
 * Where the kernel doesn't tell what others change (`looks`), the survey does, and only the folder
 * itself is watched, to hear when it is gone. A folder that is gone is looked for every RETRY_MS.
 */
#include "os/watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "os/changes.h"
#include "os/job.h"
#include "os/survey.h"
#include "os/tree.h"
#include "os/watch_walk.h"

#define RETRY_MS 1000      /* a folder that is gone is looked for so often */
#define EVENTS_BYTES 16384 /* of events that are read at a time */
#define READS_AT_ONCE 64   /* more than that is left for the next turn of the loop */
#define SHOWN_MAX 256      /* of a path in a message */

struct watch {
	struct watch_events events;
	int fd; /* of inotify; owned */
	uv_poll_t poll;
	uv_timer_t timer;
	struct job_line line;          /* of walks and looks */
	struct tree tree;              /* empty: nothing is watched */
	struct watch_folders *folders; /* owned */
	struct watch_walk *walking;    /* NULL: none is under way */
	struct changes changes;
	struct survey survey;
	bool looks;  /* the survey tells, and the kernel only of the folder itself */
	bool gone;   /* the folder itself */
	bool walk;   /* folders may have come */
	bool rewind; /* folders have gone elsewhere: all are to be watched anew */
	bool telling, ending, starting;
	bool fresh;      /* nothing of the tree was watched before: that is no change */
	bool end_looked; /* a build has ended, and a look at what it has changed is under way */
	bool said_full;
	uint64_t first_ms; /* the oldest change that was not told; 0: none */
	void (*closed)(void *owner);
};

/* The kernel tells not enough: each file is looked at, again and again. */
static void watch_look(struct watch *w, const char *why)
{
	char shown[SHOWN_MAX];

	log_warn("watch", "%s: the files of '%s' are looked at every %u s instead", why,
		log_escape(shown, sizeof shown, w->tree.folder, strlen(w->tree.folder)),
		SURVEY_MS / 1000);
	w->looks = true;
	survey_set(&w->survey, &w->tree);
}

/* Numbers are not given twice: what still comes for the old ones belongs to nobody. */
static void watch_rewind(struct watch *w)
{
	for (size_t i = 0; i < w->folders->count; i++)
		(void)inotify_rm_watch(w->fd, w->folders->items[i].wd);
	w->folders->count = 0;
	w->rewind = false;
	w->walk = true;
}

static void watch_on_timer(uv_timer_t *timer);

static void watch_arm(struct watch *w)
{
	uint64_t now = clock_now_ms(), end;

	if (!w->first_ms)
		w->first_ms = now;
	end = min_u64(now + WATCH_QUIET_MS, max_u64(w->first_ms + WATCH_LATE_MS, now));
	(void)uv_timer_start(&w->timer, watch_on_timer, end - now, 0);
}

/* hash 0: something has changed. */
static void watch_note(struct watch *w, uint64_t hash, const char *name, enum change change)
{
	char shown[SHOWN_MAX];

	if (changes_note(&w->changes, hash, change))
		log_info("watch", "'%s' changes with each build: that starts no other one any more",
			log_escape(shown, sizeof shown, name, strlen(name)));
	watch_arm(w);
}

/* NULL: of no folder that is watched any more. */
static struct watch_folder *watch_find_folder(struct watch *w, int wd)
{
	for (size_t i = 0; i < w->folders->count; i++)
		if (w->folders->items[i].wd == wd)
			return &w->folders->items[i];
	return NULL;
}

static enum change watch_change_of(uint32_t mask)
{
	if (mask & IN_CREATE)
		return CHANGE_MADE;
	return mask & (IN_DELETE | IN_MOVED_FROM) ? CHANGE_GONE : CHANGE_WRITTEN;
}

static void watch_take_event(struct watch *w, const struct inotify_event *event)
{
	struct watch_folder *folder = watch_find_folder(w, event->wd);
	bool own = folder && folder->hash == tree_folder_hash(w->tree.folder);

	if (event->mask & IN_Q_OVERFLOW) {
		w->rewind = true;
		watch_note(w, 0, "...", CHANGE_WRITTEN);
	} else if (!folder) {
		return;
	} else if (event->mask & IN_IGNORED) {
		*folder = w->folders->items[--w->folders->count];
	} else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
		/* Of another one, the folder above tells more. */
		w->rewind = w->rewind || own;
		if (own)
			watch_note(w, 0, "...", CHANGE_WRITTEN);
	} else if (event->len > 0 && !w->looks) {
		if (!tree_cares(&w->tree, folder->hash, event->name, event->mask & IN_ISDIR))
			return;
		if (event->mask & IN_ISDIR) {
			w->walk = w->walk || (event->mask & (IN_CREATE | IN_MOVED_TO));
			w->rewind = w->rewind || (event->mask & IN_MOVED_FROM);
		}
		watch_note(w, tree_file_hash(folder->hash, event->name), event->name,
			watch_change_of(event->mask));
	}
}

/* False: there is nothing more for now. */
static bool watch_read(struct watch *w)
{
	_Alignas(struct inotify_event) char events[EVENTS_BYTES];
	ssize_t len = read(w->fd, events, sizeof events);

	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *event = (const void *)(events + at);

		watch_take_event(w, event);
		at += (ssize_t)(sizeof *event + event->len);
	}
	return len > 0;
}

static void watch_read_all(struct watch *w)
{
	for (unsigned i = 0; i < READS_AT_ONCE && watch_read(w); i++)
		;
}

static void watch_on_readable(uv_poll_t *poll, int status, int events)
{
	(void)watch_read(poll->data);
}

static void watch_end_build(struct watch *w)
{
	w->end_looked = false;
	changes_build_ended(&w->changes);
	w->first_ms = 0;
	if (changes_any(&w->changes))
		watch_arm(w);
}

/* The folders are watched, as far as is known. The owner may call in again from the last two. */
static void watch_followed(struct watch *w)
{
	bool telling = w->telling, ending = w->ending, starting = w->starting;

	w->telling = w->ending = w->starting = false;
	if (ending && w->looks) {
		w->end_looked = true;
		survey_now(&w->survey);
	} else if (ending) {
		watch_end_build(w);
	}
	if (telling)
		w->first_ms = 0;
	if (telling && !w->gone && !w->changes.building && changes_any(&w->changes)) {
		changes_forget(&w->changes);
		w->events.changed(w->events.owner);
	}
	if (starting)
		w->events.watching(w->events.owner);
}

static void watch_on_walked(struct job *job)
{
	struct watch_walk *walk = container_of(job, struct watch_walk, job);
	struct watch *w = walk->owner;
	bool was_gone = w->gone;

	w->walking = NULL;
	free(w->folders);
	w->folders = take_ptr(walk->folders);
	if (walk->full && !w->said_full)
		log_warn("watch", "only %d folders of the project are watched", WATCH_FOLDERS_MAX);
	w->said_full = w->said_full || walk->full;
	if (*walk->why)
		watch_look(w, walk->why);
	w->gone = w->walk = !walk->there || (w->folders->count == 0 && !w->looks);
	if (w->fresh)
		changes_forget(&w->changes);
	else if (was_gone && !w->gone)
		(void)changes_note(&w->changes, 0, CHANGE_MADE);
	w->fresh = false;
	if (w->gone)
		(void)uv_timer_start(&w->timer, watch_on_timer, RETRY_MS, 0);
	(void)uv_poll_start(&w->poll, UV_READABLE, watch_on_readable);
	watch_read_all(w);
	watch_followed(w);
}

/* False: there is no memory. */
static bool watch_start_walk(struct watch *w)
{
	w->walking = watch_walk_start(&w->line, &w->tree, w->fd, w->looks, watch_on_walked, w);
	if (!w->walking)
		return false;
	(void)uv_poll_stop(&w->poll);
	return true;
}

static void watch_follow(struct watch *w)
{
	if (w->walking)
		return;
	watch_read_all(w);
	if (w->tree.folder && w->rewind)
		watch_rewind(w);
	if (w->tree.folder && w->walk && watch_start_walk(w))
		return;
	watch_followed(w);
}

static void watch_on_timer(uv_timer_t *timer)
{
	struct watch *w = timer->data;

	w->telling = true;
	watch_follow(w);
}

static void watch_on_surveyed(void *owner, uint64_t hash, enum change change)
{
	watch_note(owner, hash, "a file", change);
}

static void watch_on_surveyed_all(void *owner)
{
	struct watch *w = owner;

	if (w->end_looked)
		watch_end_build(w);
}

static void watch_freep(struct watch **w)
{
	if (*w)
		free((*w)->folders);
	free(*w);
}

int watch_new(uv_loop_t *loop, const struct watch_events *events, struct watch **ret_watch)
{
	_cleanup_(fd_closep) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	_cleanup_(watch_freep) struct watch *w = NULL;
	struct survey_events survey_events = { .changed = watch_on_surveyed,
		.looked = watch_on_surveyed_all };
	int r;

	if (fd < 0)
		return -errno;
	survey_events.owner = w = calloc(1, sizeof *w);
	if (!w || !(w->folders = calloc(1, sizeof *w->folders)))
		return -ENOMEM;
	r = uv_poll_init(loop, &w->poll, fd);
	if (r < 0)
		return r;
	w->events = *events;
	w->fd = take_fd(&fd);
	job_line_init(&w->line, loop);
	(void)uv_poll_start(&w->poll, UV_READABLE, watch_on_readable);
	(void)uv_timer_init(loop, &w->timer);
	survey_init(&w->survey, &w->line, &survey_events);
	w->poll.data = w->timer.data = w;
	*ret_watch = take_ptr(w);
	return 0;
}

/* What the walk under way has added to inotify and not handed over yet stays there, nobody's. */
static void watch_drop_walk(struct watch *w)
{
	if (!w->walking)
		return;
	job_drop(&take_ptr(w->walking)->job);
	(void)uv_poll_start(&w->poll, UV_READABLE, watch_on_readable);
}

int watch_set(struct watch *w, const struct watch_target *target)
{
	/* It is only read. */
	const struct tree wanted = {
		.folder = (char *)target->folder,
		.project = (char *)(target->project ? target->project : target->folder),
		.file = (char *)target->file,
		.made = (char *)target->made,
		.dirs = target->dirs,
	};

	if (!tree_same(&w->tree, &wanted)) {
		watch_drop_walk(w);
		tree_clear(&w->tree);
		survey_set(&w->survey, NULL);
		(void)uv_timer_stop(&w->timer);
		w->looks = w->said_full = w->gone = false;
		w->telling = w->ending = w->end_looked = false;
		w->fresh = true;
		changes_build_ended(&w->changes);
		watch_rewind(w);
		if (tree_copy(&wanted, &w->tree) < 0)
			return -ENOMEM;
		if (target->looks)
			watch_look(w, "as it was asked for");
	}
	if (!w->walking)
		watch_read_all(w);
	if (!w->walking && !w->rewind && (!w->walk || w->gone))
		return 0;
	watch_follow(w);
	w->starting = w->walking;
	return w->walking ? WATCH_WALKS : -ENOMEM;
}

void watch_build_began(struct watch *w)
{
	if (!w->walking)
		watch_read_all(w);
	w->ending = w->end_looked = false;
	changes_build_began(&w->changes);
	if (changes_circle(&w->changes))
		log_warn("watch",
			"each build changes files of the project: what changes during one starts "
			"no other one any more; leave them out by a hidden folder, or one with "
			"a " TREE_CACHE_MARK);
	w->first_ms = 0;
	/* What happens in a folder that isn't watched yet may be missed by this build, too. */
	if (!w->walking && !w->gone && (w->walk || w->rewind)) {
		watch_note(w, 0, "...", CHANGE_WRITTEN);
		watch_follow(w);
	}
}

void watch_build_ended(struct watch *w)
{
	w->ending = true;
	watch_follow(w);
}

static void watch_on_survey_closed(void *owner)
{
	struct watch *w = owner;
	void (*closed)(void *owner) = w->closed;

	owner = w->events.owner;
	w->fd = fd_close(w->fd);
	tree_clear(&w->tree);
	watch_freep(&w);
	closed(owner);
}

static void watch_on_timer_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	survey_close(&w->survey, watch_on_survey_closed);
}

static void watch_on_poll_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	uv_close((uv_handle_t *)&w->timer, watch_on_timer_closed);
}

void watch_close(struct watch *w, void (*closed)(void *owner), void *owner)
{
	w->closed = closed;
	w->events.owner = owner;
	(void)uv_timer_stop(&w->timer);
	survey_set(&w->survey, NULL);
	job_line_close(&w->line);
	uv_close((uv_handle_t *)&w->poll, watch_on_poll_closed);
}
