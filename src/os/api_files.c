/* SPDX-License-Identifier: MIT */
/*
 * The project's folder. Paths are resolved by openat2(2) with RESOLVE_BENEATH: whatever a path or a
 * symbolic link says, the kernel does not leave the folder, and there is no moment between a check
 * and a use. Files are touched on the thread pool, for a folder may be on a slow disk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "os/api_internal.h"
#include "os/run_config.h"

#define TYPE_BYTES "application/octet-stream"
#define FILE_MODE 0644

struct file_work {
	uv_work_t work;
	struct http_request *request; /* waits for this, so its texts stay */
	const char *root, *path;
	const void *in; /* what to write */
	size_t in_len;
	int (*run)(struct file_work *w); /* on a thread of the pool */
	int result;                      /* negative errno */
	json_t *list;                    /* owned */
	bool more;                       /* the folder holds more than the list */
	char *out;                       /* owned: what was read */
	size_t out_len;
};

/* --- on the thread pool --- */

/* A descriptor, or negative errno; -EXDEV where the path would leave the folder. */
static int open_beneath(const char *root, const char *path, uint64_t flags)
{
	const struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_(fd_closep) int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd;

	if (dir < 0)
		return -errno;
	fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static json_t *entry_json(int dir, const struct dirent *entry)
{
	struct stat st;
	const char *type;

	if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	type = S_ISREG(st.st_mode)   ? "file"
	       : S_ISDIR(st.st_mode) ? "folder"
	       : S_ISLNK(st.st_mode) ? "link"
				     : "other";
	return json_pack("{s:o, s:s, s:I, s:I}", "name",
		json_text(entry->d_name, strlen(entry->d_name)), "type", type, "size",
		(json_int_t)st.st_size, "modified",
		(json_int_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
}

static int work_list(struct file_work *w)
{
	_cleanup_(fd_closep) int fd = open_beneath(w->root, w->path, O_RDONLY | O_DIRECTORY);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	w->list = json_array();
	while (!w->more && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (json_array_size(w->list) < API_LIST_MAX)
			(void)json_array_append_new(w->list, entry_json(dirfd(dir), entry));
		else
			w->more = true;
	}
	(void)closedir(dir);
	return 0;
}

static int work_read(struct file_work *w)
{
	/* NONBLOCK: a pipe must not hold the thread. */
	_cleanup_(fd_closep) int fd =
		open_beneath(w->root, w->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
	if (st.st_size > API_FILE_MAX)
		return -EFBIG;
	w->out = malloc((size_t)st.st_size + 1);
	if (!w->out)
		return -ENOMEM;
	n = fd_read_full(fd, w->out, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	w->out_len = (size_t)n;
	return 0;
}

/* The old file stays until the new one is whole: nobody ever reads half of it. */
static int replace_file(int dir, const char *name, const void *data, size_t len)
{
	char temporary[sizeof(".wasmrun-") + UUID_TEXT_LEN] = ".wasmrun-";
	_cleanup_(fd_closep) int fd = -1;
	mode_t mode = FILE_MODE;
	bool replaces = false;
	struct uuid uuid;
	struct stat st;
	int r = uuid_random(&uuid);

	if (r < 0)
		return r;
	uuid_format(&uuid, temporary + strlen(temporary));
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISREG(st.st_mode))
			return S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
		mode = st.st_mode & 0777;
		replaces = true;
	}
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	/* The umask is for new files. */
	if (replaces && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0)
		r = fd_write_full(fd, data, len);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, temporary, 0);
	return r;
}

static int work_write(struct file_work *w)
{
	const char *slash = strrchr(w->path, '/'), *name = slash ? slash + 1 : w->path;
	_cleanup_(fd_closep) int dir = -1;
	char *folder;

	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EISDIR;
	folder = slash ? strndup(w->path, (size_t)(slash - w->path) + 1) : strdup(".");
	if (!folder)
		return -ENOMEM;
	dir = open_beneath(w->root, folder, O_RDONLY | O_DIRECTORY);
	free(folder);
	return dir < 0 ? dir : replace_file(dir, name, w->in, w->in_len);
}

static void on_work(uv_work_t *work)
{
	struct file_work *w = container_of(work, struct file_work, work);

	w->result = w->run(w);
}

/* --- on the loop --- */

static const struct {
	int error;
	unsigned status;
	const char *text;
} mistakes[] = {
	{ EACCES, 403, "is not allowed to be opened" },
	{ EEXIST, 409, "was made meanwhile" },
	{ EFBIG, 413, "is longer than can be read here" },
	{ EISDIR, 409, "is a folder" },
	{ ELOOP, 403, "is not in the project's folder" },
	{ ENAMETOOLONG, 400, "is too long a path" },
	{ ENOENT, 404, "does not exist" },
	{ ENOTDIR, 409, "is no folder, or goes through something that is none" },
	{ ENXIO, 409, "is no ordinary file" },
	{ EPERM, 403, "is not allowed to be changed" },
	{ EROFS, 403, "is on a read-only disk" },
	{ EXDEV, 403, "is not in the project's folder" },
};

static void reply_mistake(struct http_request *request, const char *path, int error)
{
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		if (mistakes[i].error != error)
			continue;
		http_reply_error(request, mistakes[i].status, "'%s' %s", path, mistakes[i].text);
		return;
	}
	http_reply_error(request, 500, "'%s': %s", path, strerror(error));
}

static void on_done(uv_work_t *work, int status)
{
	struct file_work *w = container_of(work, struct file_work, work);

	if (w->result < 0)
		reply_mistake(w->request, w->path, -w->result);
	else if (w->run == work_list)
		http_reply_json(w->request, 200,
			json_pack("{s:b, s:O, s:b}", "success", 1, "entries", w->list, "more",
				w->more));
	else if (w->run == work_read)
		http_reply_bytes(w->request, 200, TYPE_BYTES, w->out, w->out_len);
	else
		http_reply_json(w->request, 200,
			json_pack("{s:b, s:I}", "success", 1, "size", (json_int_t)w->in_len));
	json_decref(w->list);
	secret_free(w->out);
	free(w);
}

static void file_start(
	struct api *api, struct http_request *request, int (*run)(struct file_work *w))
{
	const char *path = http_request_text(request, "path");
	struct file_work *w;

	w = calloc(1, sizeof(*w));
	if (!w) {
		http_reply_error(request, 500, "out of memory");
		return;
	}
	w->request = request;
	w->root = api->config.run->project_path;
	w->path = path ? path : ".";
	w->run = run;
	http_request_body(request, &w->in, &w->in_len);
	(void)uv_queue_work(api->config.loop, &w->work, on_work, on_done);
}

void api_fs_list(void *owner, struct http_request *request)
{
	file_start(owner, request, work_list);
}

void api_fs_read(void *owner, struct http_request *request)
{
	file_start(owner, request, work_read);
}

void api_fs_write(void *owner, struct http_request *request)
{
	file_start(owner, request, work_write);
}
