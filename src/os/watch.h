/* SPDX-License-Identifier: MIT */
/*
 * Tells when a project's files have changed, some time after the last change. Its truth is the
 * kernel's, see inotify(7), and where that isn't told what others change, a look at the files every
 * now and then (os/survey.h).
 *
 * Hidden files, backups, and folders that tools make don't count, nor what the build or the
 * application writes, as far as that can be told (os/changes.h).
 */
#ifndef OS_WATCH_H
#define OS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define WATCH_QUIET_MS 200 /* editors and version control write several files */
#define WATCH_LATE_MS 2000 /* a change is told after so long even if others follow */

struct option_list;
struct watch;

/* What counts. The texts are copied. */
struct watch_target {
	const char *folder; /* absolute */
	/* Absolute, the folder or one below it: that of wasmrun.toml and of `dirs`. NULL: `folder`.
	 */
	const char *project;
	const char *file; /* the only name in it that counts; NULL: all, and what is below */
	const char *made; /* an absolute path that never counts, file or folder; may be NULL */
	/* HOST::GUEST, of folders that the application may write: they don't count. Outlives the
	 * watch. */
	const struct option_list *dirs;
	bool looks; /* at the files, though the kernel tells */
};

/* Never from within a call of the owner's. */
struct watch_events {
	void (*changed)(void *owner);
	void (*watching)(void *owner); /* behind WATCH_WALKS */
	void *owner;
};

enum watch_condition {
	WATCH_WALKS = 1, /* its folders are on their way to be watched */
};

/* Negative errno. */
int watch_new(uv_loop_t *loop, const struct watch_events *events, struct watch **ret_watch);

/* 0: all that is below the target is watched. WATCH_WALKS: that is so from `watching` on. -ENOMEM:
 * nothing is watched. */
int watch_set(struct watch *w, const struct watch_target *target);

/* What has changed before is in the build that begins now; what changes during it is told behind
 * its end. */
void watch_build_began(struct watch *w);
void watch_build_ended(struct watch *w);

/* `closed` follows, never from within. */
void watch_close(struct watch *w, void (*closed)(void *owner), void *owner);

#endif
