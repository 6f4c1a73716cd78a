/* SPDX-License-Identifier: MIT */
#include "os/watch_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>

#include "base/fd.h"
#include "base/lang.h"
#include "os/survey.h"

/* A file that is still being written is told when it is closed. */
#define FOLDER_EVENTS                                                                            \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | \
		IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

static void watch_walk_add(struct watch_walk *walk, const char *path)
{
	struct watch_folders *folders = walk->folders;
	int wd = inotify_add_watch(walk->fd, path, FOLDER_EVENTS);

	if (wd < 0 && errno == ENOSPC && !walk->looks) {
		walk->looks = true;
		(void)snprintf(walk->why, sizeof walk->why,
			"the kernel watches no more folders, raise fs.inotify.max_user_watches "
			"(sysctl)");
	}
	if (wd < 0)
		return;
	/* The kernel gives the number again for a folder that it already watches. */
	for (size_t i = 0; i < folders->count; i++)
		if (folders->items[i].wd == wd)
			return;
	folders->items[folders->count++] =
		(struct watch_folder){ .wd = wd, .hash = tree_folder_hash(path) };
}

static bool watch_walk_on_folder(void *arg, const char *path)
{
	struct watch_walk *walk = arg;
	const char *name;

	walk->full = walk->folders->count == WATCH_FOLDERS_MAX;
	if (walk->full || walk->job.dropped)
		return false;
	name = walk->looks ? NULL : survey_file_system(path);
	if (name) {
		walk->looks = true;
		(void)snprintf(walk->why, sizeof walk->why,
			"what others change on this file system, %s, isn't told", name);
	}
	watch_walk_add(walk, path);
	return !walk->looks;
}

static void watch_walk_run(struct job *job)
{
	struct watch_walk *walk = container_of(job, struct watch_walk, job);
	const struct tree_visitor visitor = { .folder = watch_walk_on_folder, .arg = walk };

	walk->there = tree_walk(&walk->tree, &visitor);
}

static void watch_walk_free(struct job *job)
{
	struct watch_walk *walk = container_of(job, struct watch_walk, job);

	tree_clear(&walk->tree);
	(void)fd_close(walk->fd);
	free(walk->folders);
	free(walk);
}

struct watch_walk *watch_walk_start(struct job_line *line, const struct tree *tree, int fd,
	bool looks, void (*done)(struct job *job), void *owner)
{
	struct watch_walk *walk = calloc(1, sizeof *walk);

	if (!walk)
		return NULL;
	walk->job = (struct job){ .run = watch_walk_run, .done = done, .free = watch_walk_free };
	walk->owner = owner;
	walk->looks = looks;
	walk->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	walk->folders = calloc(1, sizeof *walk->folders);
	if (walk->fd < 0 || !walk->folders || tree_copy(tree, &walk->tree) < 0) {
		watch_walk_free(&walk->job);
		return NULL;
	}
	job_start(line, &walk->job);
	return walk;
}
