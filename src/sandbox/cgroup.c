/* SPDX-License-Identifier: MIT */
/*
 * The tree: "." was ours at the start and has no process while it is divided; "supervisor" has us,
 * and whatever we start without a limit; "app-N" has a child. Names that begin with "app-" and that
 * are empty belong to one that was killed: rmdir(2) refuses those in which somebody lives.
 */
#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"

#define CGROUPS "/sys/fs/cgroup"      /* where systemd mounts it, and Docker */
#define SYSTEMD "/run/systemd/system" /* sd_booted(3) */
#define SUPERVISOR "supervisor"
#define CHILD "app-"
#define CPU_PERIOD_US 100000
#define TEXT_MAX 4096 /* of what we read of it: a page at most */

static const char *const controller_names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_THREADS] = "pids",
	[CGROUP_CPU] = "cpu",
};

/* --- files of it --- */

static int cgroup_write(int dir, const char *name, const char *text)
{
	_cleanup_(fd_closep) int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Cut at TEXT_MAX. */
static int cgroup_read(int dir, const char *name, char ret_text[TEXT_MAX])
{
	_cleanup_(fd_closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_text, TEXT_MAX - 1);

	if (n < 0)
		return -errno;
	ret_text[n] = '\0';
	return 0;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
		size_t n = strcspn(text, " \n");

		if (n == len && memcmp(text, word, len) == 0)
			return true;
		text += n;
	}
	return false;
}

/* --- ours --- */

static int cgroup_path(char ret_path[PATH_MAX])
{
	static const char mark[] = "0::"; /* cgroups(7), "/proc files" */
	char text[TEXT_MAX], *line, *next = text;
	struct statfs fs;
	int r = cgroup_read(AT_FDCWD, "/proc/self/cgroup", text);

	if (r < 0 || statfs(CGROUPS, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EOPNOTSUPP;
	while ((line = strsep(&next, "\n")))
		if (strncmp(line, mark, strlen(mark)) == 0)
			return snprintf(ret_path, PATH_MAX, CGROUPS "%s", line + strlen(mark)) <
					       PATH_MAX
				       ? 0
				       : -ENAMETOOLONG;
	return -EOPNOTSUPP;
}

/*
 * Who isn't root has got what he can write to. Root can write to all of them, and may do so where
 * systemd says that it keeps its hands off this one, or where there is no systemd.
 */
static bool cgroup_is_delegated(const char *path, int dir)
{
	static const char *const marks[] = { "user.delegate", "trusted.delegate" };
	static const char *const files[] = { ".", "cgroup.procs", "cgroup.subtree_control" };
	char value;

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (faccessat(dir, files[i], W_OK, AT_EACCESS) < 0)
			return false;
	if (geteuid() != 0 || access(SYSTEMD, F_OK) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (getxattr(path, marks[i], &value, 1) == 1 && value == '1')
			return true;
	return false;
}

/* Its descriptor. */
static int cgroup_find(int *ret_dir)
{
	_cleanup_(fd_closep) int dir = -1;
	char path[PATH_MAX], text[TEXT_MAX], own[32];
	int r = cgroup_path(path);

	if (r < 0)
		return r;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || !cgroup_is_delegated(path, dir))
		return -EACCES;
	if (cgroup_read(dir, "cgroup.controllers", text) < 0 ||
		!has_word(text, controller_names[CGROUP_MEMORY]))
		return -ENODEV;
	(void)snprintf(own, sizeof own, "%d\n", (int)getpid());
	if (cgroup_read(dir, "cgroup.procs", text) < 0 || strcmp(text, own) != 0)
		return -EBUSY;
	*ret_dir = take_fd(&dir);
	return 0;
}

int cgroup_probe(void)
{
	int dir = -1, r = cgroup_find(&dir);

	fd_close(dir);
	return r;
}

const char *cgroup_explain(int error)
{
	switch (error) {
	case -EOPNOTSUPP:
		return "there is no cgroup of version 2 at " CGROUPS;
	case -EACCES:
		return "none is delegated to us: 'systemd-run --user --scope -p Delegate=yes "
		       "wasmrun os', or Delegate=yes in a service, does it";
	case -EBUSY:
		return "others run in ours: 'systemd-run --user --scope -p Delegate=yes wasmrun "
		       "os' gives it one of its own";
	case -ENODEV:
		return "ours has no controller of memory";
	default:
		return strerror(-error);
	}
}

/* --- dividing it --- */

static void cgroup_clear(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);

	if (!entries) {
		fd_close(copy);
		return;
	}
	for (struct dirent *entry; (entry = readdir(entries));)
		if (strncmp(entry->d_name, CHILD, strlen(CHILD)) == 0)
			(void)unlinkat(dir, entry->d_name, AT_REMOVEDIR);
	(void)closedir(entries);
}

static void cgroup_undo(int dir)
{
	char word[16];

	cgroup_clear(dir);
	for (size_t i = 0; i < CGROUP_CONTROLLERS; i++) {
		(void)snprintf(word, sizeof word, "-%s", controller_names[i]);
		(void)cgroup_write(dir, "cgroup.subtree_control", word);
	}
	(void)cgroup_write(dir, "cgroup.procs", "0");
	(void)unlinkat(dir, SUPERVISOR, AT_REMOVEDIR);
}

int cgroup_open(struct cgroup *ret_cgroup)
{
	_cleanup_(fd_closep) int dir = -1;
	struct cgroup cgroup = { 0 };
	char word[16];
	int r = cgroup_find(&dir);

	if (r < 0)
		return r;
	cgroup_clear(dir);
	if (mkdirat(dir, SUPERVISOR, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = cgroup_write(dir, SUPERVISOR "/cgroup.procs", "0");
	for (size_t i = 0; r == 0 && i < CGROUP_CONTROLLERS; i++) {
		(void)snprintf(word, sizeof word, "+%s", controller_names[i]);
		cgroup.has[i] = cgroup_write(dir, "cgroup.subtree_control", word) == 0;
	}
	if (r == 0 && !cgroup.has[CGROUP_MEMORY])
		r = -EBUSY; /* somebody came in between */
	if (r < 0) {
		cgroup_undo(dir);
		return r;
	}
	cgroup.dir = take_fd(&dir);
	*ret_cgroup = cgroup;
	return 0;
}

void cgroup_close(struct cgroup *cgroup)
{
	cgroup_undo(cgroup->dir);
	cgroup->dir = fd_close(cgroup->dir);
}

/* --- a child --- */

static int cgroup_limit(int dir, const struct cgroup_limits *limits)
{
	const struct {
		const char *file;
		uint64_t value;
		const char *behind;
		bool optional; /* a kernel may be without it */
	} files[] = {
		{ "memory.max", limits->memory_bytes, "" },
		/* Who has used up his memory is to end, not to grow slow and use up the disk. */
		{ "memory.swap.max", limits->memory_bytes ? 0 : UINT64_MAX, "", true },
		{ "pids.max", limits->threads, "" },
		{ "cpu.max", limits->cpu_percent * CPU_PERIOD_US / 100, " 100000" },
	};
	char text[64];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++) {
		if (files[i].optional ? files[i].value == UINT64_MAX : files[i].value == 0)
			continue;
		(void)snprintf(text, sizeof text, "%" PRIu64 "%s", files[i].value, files[i].behind);
		r = cgroup_write(dir, files[i].file, text);
		if (r == -ENOENT)
			r = 0; /* without its controller */
	}
	return r;
}

int cgroup_add(
	struct cgroup *cgroup, const struct cgroup_limits *limits, struct cgroup_child *ret_child)
{
	struct cgroup_child child = { cgroup, cgroup->made++, -1, -1 };
	char name[32];
	int r = 0;

	(void)snprintf(name, sizeof name, CHILD "%u", child.number);
	if (mkdirat(cgroup->dir, name, 0755) < 0)
		return -errno;
	child.dir = openat(cgroup->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (child.dir >= 0)
		child.procs = openat(child.dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (child.procs < 0)
		r = -errno;
	if (r == 0)
		r = cgroup_limit(child.dir, limits);
	if (r < 0) {
		cgroup_remove(&child);
		return r;
	}
	*ret_child = child;
	return 0;
}

bool cgroup_is_out_of_memory(const struct cgroup_child *child)
{
	static const char mark[] = "\noom_kill ";
	char text[TEXT_MAX], *at;

	if (!child->parent || cgroup_read(child->dir, "memory.events", text) < 0)
		return false;
	at = strstr(text, mark);
	return at && strtoul(at + strlen(mark), NULL, 10) > 0;
}

void cgroup_remove(struct cgroup_child *child)
{
	char name[32];

	if (!child->parent)
		return;
	(void)cgroup_write(child->dir, "cgroup.kill", "1"); /* Linux 5.14 */
	child->procs = fd_close(child->procs);
	child->dir = fd_close(child->dir);
	(void)snprintf(name, sizeof name, CHILD "%u", child->number);
	(void)unlinkat(child->parent->dir, name, AT_REMOVEDIR);
	child->parent = NULL;
}
