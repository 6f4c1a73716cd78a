/* SPDX-License-Identifier: MIT */
/*
 * Events only say that something has happened to a name in a folder that is watched. Whatever may
 * have brought or moved folders makes us walk through the project again before the change is told:
 * what has happened before the walk is in the next build, what happens after it is seen.
 */
#include "os/watch.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "conf/option_table.h"
#include "os/changes.h"

#define RETRY_MS 1000      /* a folder that is gone is looked for so often */
#define EVENTS_BYTES 16384 /* of events that are read at a time */
#define READS_AT_ONCE 64   /* more than that is left for the next turn of the loop */
#define SHOWN_MAX 256      /* of a path in a message */
#define CONFIG_FILE "wasmrun.toml"
#define CACHE_MARK "CACHEDIR.TAG" /* bford.info/cachedir: what is in there can be made again */

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
	char *folder, *file, *made; /* owned, as in watch_target */
	const struct option_list *dirs;
	struct watch_folder folders[WATCH_FOLDERS_MAX];
	size_t folder_count;
	struct changes changes;
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

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Names that are no sources: hidden ones, and what editors keep beside a file. */
static bool name_is_noise(const char *name)
{
	size_t len = strlen(name);

	return len == 0 || *name == '.' || *name == '#' || name[len - 1] == '~';
}

/* Folders that tools make. Cargo marks its own, the others are known by name. */
static bool folder_is_made(const char *path, const char *name)
{
	static const char *const names[] = { "__pycache__", "dist", "node_modules", "target" };
	char mark[PATH_MAX];
	int n;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	n = snprintf(mark, sizeof mark, "%s/" CACHE_MARK, path);
	return n < 0 || (size_t)n >= sizeof mark || access(mark, F_OK) == 0;
}

/* A file is the same one after its folder was watched anew. */
static uint64_t file_hash(uint64_t folder, const char *name)
{
	return hash_bytes(folder, name, strlen(name));
}

static uint64_t folder_hash(const char *path, size_t len)
{
	return hash_bytes(0, path, len);
}

/* One that the application itself may write. The project's own folder can't be left out. */
static bool watch_is_given(const struct watch *w, const char *path)
{
	char given[PATH_MAX], real[PATH_MAX];

	for (size_t i = 0; w->dirs && i < w->dirs->count; i++) {
		const char *dir = w->dirs->items[i], *end = strstr(dir, "::");
		int len = (int)(end ? end - dir : (ptrdiff_t)strlen(dir));
		int n = *dir == '/' ? snprintf(given, sizeof given, "%.*s", len, dir)
				    : snprintf(given, sizeof given, "%s/%.*s", w->folder, len, dir);

		if (n > 0 && (size_t)n < sizeof given && realpath(given, real) &&
			strcmp(real, path) == 0)
			return true;
	}
	return false;
}

static void watch_say_full(struct watch *w, int error)
{
	char shown[SHOWN_MAX];

	if (w->said_full)
		return;
	w->said_full = true;
	log_escape(shown, sizeof shown, w->folder, strlen(w->folder));
	if (error == ENOSPC)
		log_warn("watch",
			"not all folders of '%s' are watched: raise "
			"fs.inotify.max_user_watches (sysctl)",
			shown);
	else
		log_warn("watch", "only %d folders of '%s' are watched", WATCH_FOLDERS_MAX, shown);
}

static void watch_add_folder(struct watch *w, const char *path)
{
	int wd;

	if (w->folder_count == WATCH_FOLDERS_MAX) {
		watch_say_full(w, 0);
		return;
	}
	wd = inotify_add_watch(w->fd, path, FOLDER_EVENTS);
	if (wd < 0) {
		if (errno == ENOSPC)
			watch_say_full(w, errno);
		return;
	}
	/* The kernel gives the number again for a folder that it already watches. */
	for (size_t i = 0; i < w->folder_count; i++)
		if (w->folders[i].wd == wd)
			return;
	w->folders[w->folder_count++] =
		(struct watch_folder){ .wd = wd, .hash = folder_hash(path, strlen(path)) };
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
	char *const roots[] = { w->folder, NULL };
	FTS *fts;

	watch_add_folder(w, w->folder);
	w->gone = w->folder_count == 0;
	w->walk = w->gone;
	fts = w->file || w->gone ? NULL : fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!fts)
		return;
	for (FTSENT *e; (e = fts_read(fts));) {
		if (e->fts_info != FTS_D || e->fts_level == 0)
			continue;
		if (name_is_noise(e->fts_name) || folder_is_made(e->fts_path, e->fts_name) ||
			same_text(e->fts_path, w->made) || watch_is_given(w, e->fts_path))
			(void)fts_set(fts, e, FTS_SKIP);
		else
			watch_add_folder(w, e->fts_path);
	}
	(void)fts_close(fts);
}

static void watch_follow_folders(struct watch *w)
{
	if (!w->folder)
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
static void watch_note(struct watch *w, uint64_t hash, const char *name, uint32_t mask)
{
	enum change change = mask & IN_CREATE                     ? CHANGE_MADE
			     : mask & (IN_DELETE | IN_MOVED_FROM) ? CHANGE_GONE
								  : CHANGE_WRITTEN;
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

static bool watch_cares(const struct watch *w, uint64_t hash, const char *name)
{
	const char *made = w->made ? strrchr(w->made, '/') : NULL;

	if (w->file)
		return strcmp(name, w->file) == 0;
	if (made && hash == file_hash(folder_hash(w->made, (size_t)(made - w->made)), made + 1))
		return false;
	return !name_is_noise(name);
}

static void watch_take_folder_event(struct watch *w, uint32_t mask)
{
	if (mask & (IN_CREATE | IN_MOVED_TO))
		w->walk = true;
	else if (mask & IN_MOVED_FROM)
		w->rewind = true;
}

static void watch_take_event(struct watch *w, const struct inotify_event *event)
{
	struct watch_folder *folder = watch_find_folder(w, event->wd);
	bool own = folder && folder->hash == folder_hash(w->folder, strlen(w->folder));
	uint64_t hash;

	if (event->mask & IN_Q_OVERFLOW) {
		w->rewind = true;
		watch_note(w, 0, "...", 0);
	} else if (!folder) {
		return;
	} else if (event->mask & IN_IGNORED) {
		*folder = w->folders[--w->folder_count];
	} else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
		/* Of another one, the folder above tells more. */
		w->rewind = w->rewind || own;
		if (own)
			watch_note(w, 0, "...", 0);
	} else if (event->len > 0) {
		hash = file_hash(folder->hash, event->name);
		if (own && strcmp(event->name, CONFIG_FILE) == 0) {
			if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO))
				log_info("watch", "'" CONFIG_FILE "' has changed: that counts from "
						  "the next start of 'wasmrun os'");
		} else if (watch_cares(w, hash, event->name)) {
			if (event->mask & IN_ISDIR)
				watch_take_folder_event(w, event->mask);
			watch_note(w, hash, event->name, event->mask);
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

int watch_new(uv_loop_t *loop, void (*changed)(void *owner), void *owner, struct watch **ret_watch)
{
	_cleanup_(fd_closep) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	_cleanup_(watch_freep) struct watch *w = NULL;
	int r;

	if (fd < 0)
		return -errno;
	w = calloc(1, sizeof *w);
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
	w->poll.data = w->timer.data = w;
	*ret_watch = take_ptr(w);
	return 0;
}

static void watch_clear_target(struct watch *w)
{
	free(take_ptr(w->folder));
	free(take_ptr(w->file));
	free(take_ptr(w->made));
}

int watch_set(struct watch *w, const struct watch_target *target)
{
	if (same_text(w->folder, target->folder) && same_text(w->file, target->file) &&
		same_text(w->made, target->made))
		return 0;
	watch_clear_target(w);
	w->dirs = target->dirs;
	w->folder = strdup(target->folder);
	w->file = target->file ? strdup(target->file) : NULL;
	w->made = target->made ? strdup(target->made) : NULL;
	if (!w->folder || (target->file && !w->file) || (target->made && !w->made)) {
		watch_rewind(w);
		watch_clear_target(w);
		return -ENOMEM;
	}
	w->said_full = false;
	w->rewind = true;
	watch_follow_folders(w);
	changes_forget(&w->changes);
	if (w->gone)
		(void)uv_timer_start(&w->timer, on_timer, RETRY_MS, 0);
	return 0;
}

void watch_build_began(struct watch *w)
{
	watch_catch_up(w);
	changes_build_began(&w->changes);
	w->first_ms = 0;
}

void watch_build_ended(struct watch *w)
{
	watch_catch_up(w);
	changes_build_ended(&w->changes);
	w->first_ms = 0;
	if (changes_any(&w->changes))
		watch_arm(w);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;
	void (*closed)(void *owner) = w->closed;
	void *owner = w->owner;

	w->fd = fd_close(w->fd);
	watch_clear_target(w);
	free(w);
	closed(owner);
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
