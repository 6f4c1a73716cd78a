/* SPDX-License-Identifier: MIT */
/*
 * Who holds the folder alone, by flock(2), sees that nobody uses it, and renames what is old. From
 * then on nobody finds it by its name, so that removing it needs no lock.
 */
#include "app/build_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/cache_dir.h"
#include "base/owner.h"
#include "base/fd.h"

#define TRASH ".trash."

static bool build_cache_is_trash(const char *name)
{
	return strncmp(name, TRASH, strlen(TRASH)) == 0;
}

static void build_cache_put_aside(const char *dir)
{
	_cleanup_(fd_close_dirp) DIR *entries = opendir(dir);
	time_t now = time(NULL);
	const struct dirent *entry;
	char trash[NAME_MAX + 1];
	struct stat st;
	int n, fd;

	if (!entries)
		return;
	fd = dirfd(entries);
	while ((entry = readdir(entries))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			build_cache_is_trash(entry->d_name) ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			now - st.st_mtime <= BUILD_CACHE_AGE_S)
			continue;
		n = snprintf(trash, sizeof trash, TRASH "%s", entry->d_name);
		if (n > 0 && (size_t)n < sizeof trash)
			(void)renameat(fd, entry->d_name, fd, trash);
	}
}

int build_cache_open(const char *dir, int *ret_lock)
{
	_cleanup_(fd_closep) int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (lock < 0)
		return -errno;
	if (flock(lock, LOCK_EX | LOCK_NB) == 0)
		build_cache_put_aside(dir);
	/* Who holds it alone does so for a moment. */
	if (flock(lock, LOCK_SH) < 0)
		return -errno;
	*ret_lock = take_fd(&lock);
	return 0;
}

void build_cache_sweep(const char *dir)
{
	_cleanup_(fd_close_dirp) DIR *entries = opendir(dir);
	const struct dirent *entry;
	char path[PATH_MAX];

	while (entries && (entry = readdir(entries))) {
		int n = snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);

		if (build_cache_is_trash(entry->d_name) && n > 0 && (size_t)n < sizeof path)
			cache_dir_remove(path);
	}
}
