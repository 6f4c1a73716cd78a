/* SPDX-License-Identifier: MIT */
/*
 * Three things keep the list true without anybody who looks after it:
 *
 * A file's lock is held by its run alone, and the kernel lets go of it however that ends. So a file
 * that isn't locked is left over, and whoever finds it removes it.
 * A file is named by a random UUID. The name is never used again, and so between finding a file
 * unlocked and removing it no other can have got its name.
 * A file gets its name after its lock and its content. Whoever sees it sees all of it.
 */
#include "os/run_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/uuid.h"

#define SUFFIX ".json"
#define NAME_MAX_LEN (UUID_TEXT_LEN + sizeof SUFFIX)
#define FILE_MAX (4 * PATH_MAX) /* bytes; the path may be escaped */

struct run_file {
	int folder, fd;
	char name[NAME_MAX_LEN];
};

/* --- the folder --- */

static int run_folder_path(char ret_path[PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int n;

	/* A relative path is to be ignored, says the XDG Base Directory Specification. */
	if (runtime && runtime[0] == '/')
		n = snprintf(ret_path, PATH_MAX, "%s/wasmrun", runtime);
	else
		n = snprintf(ret_path, PATH_MAX, "/tmp/wasmrun-%u", (unsigned)geteuid());
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* In /tmp anyone may have been faster: what is there counts only if it is ours alone. */
static int run_folder_open(bool create, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	int r = run_folder_path(path);

	if (r < 0)
		return r;
	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || st.st_mode & 077)
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* --- a run's own --- */

static int run_file_write(int fd, const struct run_entry *entry)
{
	json_auto_t *value = json_pack("{s:s, s:s, s:s, s:I}", "project", entry->project, "url",
		entry->url, "token", entry->token, "pid", (json_int_t)entry->pid);

	if (!value)
		return -EILSEQ;
	return json_dumpfd(value, fd, JSON_COMPACT) < 0 ? -EIO : 0;
}

static int run_file_create(struct run_file *file, const struct run_entry *entry)
{
	char hidden[NAME_MAX_LEN + 1];
	int r;

	(void)snprintf(hidden, sizeof hidden, ".%s", file->name);
	file->fd = openat(file->folder, hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return -errno;
	r = flock(file->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : run_file_write(file->fd, entry);
	if (r == 0 && renameat(file->folder, hidden, file->folder, file->name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(file->folder, hidden, 0);
	return r;
}

static void run_file_close(struct run_file *file)
{
	fd_close(file->fd);
	fd_close(file->folder);
	free(file);
}

static void run_file_closep(struct run_file **file)
{
	if (*file)
		run_file_close(*file);
}

int run_file_new(const struct run_entry *entry, struct run_file **ret_file)
{
	_cleanup_(run_file_closep) struct run_file *file = calloc(1, sizeof(*file));
	struct uuid uuid;
	int r;

	if (!file)
		return -ENOMEM;
	file->folder = file->fd = -1;
	r = uuid_random(&uuid);
	if (r == 0)
		r = run_folder_open(true, &file->folder);
	if (r < 0)
		return r;
	uuid_format(&uuid, file->name);
	memcpy(file->name + UUID_TEXT_LEN, SUFFIX, sizeof SUFFIX);
	r = run_file_create(file, entry);
	if (r < 0)
		return r;
	*ret_file = take_ptr(file);
	return 0;
}

struct run_file *run_file_free(struct run_file *file)
{
	if (!file)
		return NULL;
	(void)unlinkat(file->folder, file->name, 0);
	run_file_close(file);
	return NULL;
}

/* --- everybody's --- */

static bool run_file_is_locked(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	(void)flock(fd, LOCK_UN);
	return false;
}

/* Adds nothing when the file is none of ours, or can't be read. */
static void run_list_add(struct run_list *list, int *fd)
{
	json_auto_t *value = NULL;
	struct run_entry *entry = &list->entries[list->count];
	struct stat st;
	json_int_t pid;

	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return;
	value = json_loadfd(*fd, JSON_REJECT_DUPLICATES, NULL);
	if (json_unpack(value, "{s:s, s:s, s:s, s:I}", "project", &entry->project, "url",
		    &entry->url, "token", &entry->token, "pid", &pid) < 0)
		return;
	if (pid < 1 || pid > INT_MAX)
		return;
	entry->pid = (pid_t)pid;
	list->values[list->count] = json_incref(value);
	list->fds[list->count++] = take_fd(fd);
}

static void run_list_look_at(struct run_list *list, int folder, const char *name)
{
	_cleanup_(fd_closep) int fd = -1;
	size_t len = strlen(name);

	if (name[0] == '.' || len != NAME_MAX_LEN - 1 || strcmp(name + UUID_TEXT_LEN, SUFFIX) != 0)
		return;
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (run_file_is_locked(fd))
		run_list_add(list, &fd);
	else
		(void)unlinkat(folder, name, 0);
}

int run_list_read(struct run_list *ret_list)
{
	_cleanup_(fd_closep) int folder = -1;
	const struct dirent *file;
	int fd, r;
	DIR *dir;

	ret_list->count = 0;
	r = run_folder_open(false, &folder);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	fd = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while (ret_list->count < RUN_LIST_MAX && (file = readdir(dir)))
		run_list_look_at(ret_list, folder, file->d_name);
	(void)closedir(dir);
	return 0;
}

void run_list_deinit(struct run_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		json_decref(list->values[i]);
		fd_close(list->fds[i]);
	}
	list->count = 0;
}

int run_list_open_process(const struct run_list *list, size_t index, int *ret_pidfd)
{
	/* glibc has no wrapper before 2.36. */
	int pidfd = (int)syscall(SYS_pidfd_open, list->entries[index].pid, 0);

	if (pidfd < 0)
		return -errno;
	/* The lock is still held: the process that holds it has had its pid all the time. */
	if (!run_file_is_locked(list->fds[index])) {
		fd_close(pidfd);
		return -ESRCH;
	}
	*ret_pidfd = pidfd;
	return 0;
}
