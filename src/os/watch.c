/* SPDX-License-Identifier: MIT */
/*
 * Events only say that something has happened to a name in a folder that is watched. Whatever may
 * have brought or moved folders makes us walk through the project again before the change is told:
 * what has happened before the walk is in the next build, what happens after it is seen.
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
#include "os/survey.h"
#include "os/tree.h"

#define RETRY_MS 1000      /* a folder that is gone is looked for so often */
#define EVENTS_BYTES 16384 /* of events that are read at a time */
#define READS_AT_ONCE 64   /* more than that is left for the next turn of the loop */
#define SHOWN_MAX 256      /* of a path in a message */

/* A file that is still being written is told when it is closed. */
#define FOLDER_EVENTS                                                                            \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | \
		IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

struct watch_folder {
	int wd;
	uint64_t hash; /* of its path */
};

struct watch {
	uv_loop_t *loop;
	int fd; /* of inotify; owned */
	uv_poll_t poll;
	uv_timer_t timer;
	struct tree tree; /* empty: nothing is watched */
	struct watch_folder folders[WATCH_FOLDERS_MAX];
	size_t folder_count;
	struct changes changes;
	struct survey survey;
	bool looks;  /* the survey tells, and the kernel only of the folder itself */
	bool ending; /* a build has ended, and the look at what it has changed has not */
	bool gone;   /* the folder itself */
	bool walk;   /* folders may have come */
	bool rewind; /* folders have gone elsewhere: all are to be watched anew */
	bool said_full;
	uint64_t first_ms; /* the oldest change that was not told; 0: none */
	void (*changed)(void *owner);
	void (*closed)(void *owner);
	void *owner;
};

static void watch_freep(struct watch **w)
{
	free(*w);
}

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

static void watch_add_folder(struct watch *w, const char *path)
{
	int wd = inotify_add_watch(w->fd, path, FOLDER_EVENTS);

	if (wd < 0 && errno == ENOSPC && !w->looks)
		watch_look(w, "the kernel watches no more folders, raise "
			      "fs.inotify.max_user_watches (sysctl)");
	if (wd < 0)
		return;
	/* The kernel gives the number again for a folder that it already watches. */
	for (size_t i = 0; i < w->folder_count; i++)
		if (w->folders[i].wd == wd)
			return;
	w->folders[w->folder_count++] =
		(struct watch_folder){ .wd = wd, .hash = tree_folder_hash(path) };
}

/* Of one that looks, the first folder tells when it is gone, and no other is walked to: that may
 * take long on such file systems, and the loop waits for it. */
static bool on_folder(void *arg, const char *path)
{
	struct watch *w = arg;
	char why[SHOWN_MAX];
	const char *name;

	if (w->folder_count == WATCH_FOLDERS_MAX && !w->said_full)
		log_warn("watch", "only %d folders of the project are watched", WATCH_FOLDERS_MAX);
	w->said_full = w->said_full || w->folder_count == WATCH_FOLDERS_MAX;
	if (w->folder_count == WATCH_FOLDERS_MAX || (w->looks && w->folder_count > 0))
		return false;
	name = w->looks ? NULL : survey_file_system(path);
	if (name) {
		(void)snprintf(why, sizeof why,
			"what others change on this file system, %s, isn't told", name);
		watch_look(w, why);
	}
	watch_add_folder(w, path);
	return !w->looks;
}

/* Numbers are not given twice: what still comes for the old ones belongs to nobody. */
static void watch_rewind(struct watch *w)
{
	for (size_t i = 0; i < w->folder_count; i++)
		(void)inotify_rm_watch(w->fd, w->folders[i].wd);
	w->folder_count = 0;
	w->rewind = false;
	w->walk = true;
}

static void watch_walk(struct watch *w)
{
	const struct tree_visitor visitor = { .folder = on_folder, .arg = w };

	w->gone = !tree_walk(&w->tree, &visitor) || (w->folder_count == 0 && !w->looks);
	w->walk = w->gone;
}

static void watch_follow_folders(struct watch *w)
{
	if (!w->tree.folder)
		return;
	if (w->rewind)
		watch_rewind(w);
	if (w->walk)
		watch_walk(w);
}

static void on_timer(uv_timer_t *timer)
{
	struct watch *w = timer->data;
	bool gone = w->gone;

	watch_follow_folders(w);
	if (gone && !w->gone)
		(void)changes_note(&w->changes, 0, CHANGE_MADE);
	w->first_ms = 0;
	if (w->gone) {
		(void)uv_timer_start(&w->timer, on_timer, RETRY_MS, 0);
	} else if (!w->changes.building && changes_any(&w->changes)) {
		changes_forget(&w->changes);
		w->changed(w->owner);
	}
}

static void watch_arm(struct watch *w)
{
	uint64_t now = clock_now_ms(), end;

	if (!w->first_ms)
		w->first_ms = now;
	end = min_u64(now + WATCH_QUIET_MS, max_u64(w->first_ms + WATCH_LATE_MS, now));
	(void)uv_timer_start(&w->timer, on_timer, end - now, 0);
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
	for (size_t i = 0; i < w->folder_count; i++)
		if (w->folders[i].wd == wd)
			return &w->folders[i];
	return NULL;
}

static void watch_take_folder_event(struct watch *w, uint32_t mask)
{
	if (mask & (IN_CREATE | IN_MOVED_TO))
		w->walk = true;
	else if (mask & IN_MOVED_FROM)
		w->rewind = true;
}

static enum change change_of(uint32_t mask)
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
		*folder = w->folders[--w->folder_count];
	} else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
		/* Of another one, the folder above tells more. */
		w->rewind = w->rewind || own;
		if (own)
			watch_note(w, 0, "...", CHANGE_WRITTEN);
	} else if (event->len > 0 && !w->looks) {
		if (strcmp(event->name, TREE_CONFIG_FILE) == 0 &&
			folder->hash == tree_folder_hash(w->tree.project)) {
			if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO))
				log_info("watch",
					"'" TREE_CONFIG_FILE "' has changed: that counts from "
					"the next start of 'wasmrun os'");
		} else if (tree_cares(&w->tree, folder->hash, event->name)) {
			if (event->mask & IN_ISDIR)
				watch_take_folder_event(w, event->mask);
			watch_note(w, tree_file_hash(folder->hash, event->name), event->name,
				change_of(event->mask));
		}
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

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)watch_read(poll->data);
}

static void watch_catch_up(struct watch *w)
{
	for (unsigned i = 0; i < READS_AT_ONCE && watch_read(w); i++)
		;
	watch_follow_folders(w);
}

static void on_surveyed(void *owner, uint64_t hash, enum change change)
{
	watch_note(owner, hash, "a file", change);
}

static void watch_end_build(struct watch *w)
{
	w->ending = false;
	changes_build_ended(&w->changes);
	w->first_ms = 0;
	if (changes_any(&w->changes))
		watch_arm(w);
}

static void on_looked(void *owner)
{
	struct watch *w = owner;

	if (w->ending)
		watch_end_build(w);
}

int watch_new(uv_loop_t *loop, void (*changed)(void *owner), void *owner, struct watch **ret_watch)
{
	_cleanup_(fd_closep) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	_cleanup_(watch_freep) struct watch *w = NULL;
	struct survey_events events = { .changed = on_surveyed, .looked = on_looked };
	int r;

	if (fd < 0)
		return -errno;
	events.owner = w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	r = uv_poll_init(loop, &w->poll, fd);
	if (r < 0)
		return r;
	w->changed = changed;
	w->owner = owner;
	w->fd = take_fd(&fd);
	(void)uv_poll_start(&w->poll, UV_READABLE, on_readable);
	(void)uv_timer_init(loop, &w->timer);
	survey_init(&w->survey, loop, &events);
	w->poll.data = w->timer.data = w;
	*ret_watch = take_ptr(w);
	return 0;
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

	if (tree_same(&w->tree, &wanted))
		return 0;
	tree_clear(&w->tree);
	survey_set(&w->survey, NULL);
	w->looks = w->said_full = w->ending = false;
	changes_build_ended(&w->changes);
	watch_rewind(w);
	if (tree_copy(&wanted, &w->tree) < 0)
		return -ENOMEM;
	if (target->looks)
		watch_look(w, "as it was asked for");
	watch_follow_folders(w);
	changes_forget(&w->changes);
	if (w->gone)
		(void)uv_timer_start(&w->timer, on_timer, RETRY_MS, 0);
	return 0;
}

void watch_build_began(struct watch *w)
{
	watch_catch_up(w);
	w->ending = false;
	changes_build_began(&w->changes);
	if (changes_circle(&w->changes))
		log_warn("watch",
			"each build changes files of the project: what changes during one starts "
			"no other one any more; leave them out by a hidden folder, or one with "
			"a " TREE_CACHE_MARK);
	w->first_ms = 0;
}

void watch_build_ended(struct watch *w)
{
	watch_catch_up(w);
	w->ending = w->looks;
	if (w->ending)
		survey_now(&w->survey);
	else
		watch_end_build(w);
}

static void on_survey_closed(void *owner)
{
	struct watch *w = owner;
	void (*closed)(void *owner) = w->closed;

	owner = w->owner;
	w->fd = fd_close(w->fd);
	tree_clear(&w->tree);
	free(w);
	closed(owner);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	survey_close(&w->survey, on_survey_closed);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

void watch_close(struct watch *w, void (*closed)(void *owner), void *owner)
{
	w->closed = closed;
	w->owner = owner;
	(void)uv_timer_stop(&w->timer);
	uv_close((uv_handle_t *)&w->poll, on_poll_closed);
}
