/* SPDX-License-Identifier: MIT */
/*
 * The project's folder. Whatever a path or a symbolic link says, nothing outside it is opened
 * (base/beneath.h). Files are touched in jobs (os/job.h), since the folder may be on a disk that is
 * slow, or on one that never answers: then FILE_JOBS_MAX requests wait for it, further ones are
 * told so, and the rest of the API goes on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/beneath.h"
#include "base/fd.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "os/api_file_job.h"
#include "os/api_internal.h"
#include "os/run_config.h"

#define TYPE_BYTES "application/octet-stream"
#define FILE_MODE 0644
#define FILE_JOBS_MAX 64 /* requests that wait for the folder */

/* --- on the thread pool --- */

static json_t *file_entry_json(int dir, const struct dirent *entry)
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

static int file_list(struct file_job *j)
{
	_cleanup_(fd_closep) int fd = -1;
	struct dirent *entry;
	DIR *dir;
	int r = beneath_open(j->root, j->path, O_RDONLY | O_DIRECTORY, &fd);

	if (r < 0)
		return r;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	j->list = json_array();
	while (!j->more && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (json_array_size(j->list) < API_LIST_MAX)
			(void)json_array_append_new(j->list, file_entry_json(dirfd(dir), entry));
		else
			j->more = true;
	}
	(void)closedir(dir);
	return 0;
}

/* What an ordinary file holds, and a NUL; the caller owns it. */
static int file_load(int fd, char **ret_text, size_t *ret_len)
{
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
	if (st.st_size > API_FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = fd_read_full(fd, text, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	*ret_len = (size_t)n;
	*ret_text = take_ptr(text);
	return 0;
}

int file_read(struct file_job *j)
{
	_cleanup_(fd_closep) int fd = -1;
	int r = beneath_open(j->root, j->path, O_RDONLY, &fd);

	if (r == 0)
		r = file_load(fd, &j->out, &j->out_len);
	return r < 0 ? r : version_of(j->out, j->out_len, j->version);
}

/* 0, or -ESTALE: it is another one by now, which may be gone, or too long to be read. */
static int file_check_version(int dir, const char *name, const char *if_match)
{
	_cleanup_(fd_closep) int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char version[VERSION_MAX] = "", *text = NULL;
	size_t len = 0;
	int r = fd < 0 ? -errno : file_load(fd, &text, &len);

	if (r == 0)
		r = version_of(text, len, version);
	secret_free(text);
	if (r == -ENOMEM)
		return r;
	return version_may_go(fd < 0 ? NULL : version, if_match) ? 0 : -ESTALE;
}

/* The owner may be another one than whose rights are ours. Setting what is there already is not
 * tried: some file systems refuse that, too. */
static int file_keep_owner(int fd, const struct stat *old)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != old->st_uid || st.st_gid != old->st_gid) &&
		fchown(fd, old->st_uid, old->st_gid) < 0)
		return -errno;
	/* The umask is for new files. */
	return fchmod(fd, old->st_mode & 0777) < 0 ? -errno : 0;
}

int file_replace(int dir, const char *name, const void *data, size_t len, const char *if_match)
{
	char temporary[sizeof(".wasmrun-") + UUID_TEXT_LEN] = ".wasmrun-";
	_cleanup_(fd_closep) int fd = -1;
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
		if (faccessat(dir, name, W_OK, AT_EACCESS) < 0)
			return errno == EACCES ? -EPERM : -errno;
		replaces = true;
	}
	/* Nobody else reads it before it is known who may. */
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		replaces ? 0600 : FILE_MODE);
	if (fd < 0)
		return -errno;
	if (replaces)
		r = file_keep_owner(fd, &st);
	if (r == 0)
		r = fd_write_full(fd, data, len);
	/* Else a loss of power could leave the new name, and nothing in it. */
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0 && if_match)
		r = file_check_version(dir, name, if_match);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, temporary, 0);
	return r;
}

static int file_write(struct file_job *j)
{
	const char *slash = strrchr(j->path, '/'), *name = slash ? slash + 1 : j->path;
	_cleanup_(fd_closep) int dir = -1;
	char *folder;
	int r;

	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EISDIR;
	folder = slash ? strndup(j->path, (size_t)(slash - j->path) + 1) : strdup(".");
	if (!folder)
		return -ENOMEM;
	r = beneath_open(j->root, folder, O_RDONLY | O_DIRECTORY, &dir);
	free(folder);
	if (r == 0)
		r = version_of(j->in, j->in_len, j->version);
	return r < 0 ? r : file_replace(dir, name, j->in, j->in_len, j->if_match);
}

static void file_on_job(struct job *job)
{
	struct file_job *j = container_of(job, struct file_job, job);

	j->result = j->serve(j);
}

/* --- on the loop --- */

static const struct {
	int error;
	unsigned status;
	const char *text;
} file_mistakes[] = {
	{ EACCES, 403, "is not allowed to be opened" },
	{ EEXIST, 409, "was made meanwhile" },
	{ EFBIG, 413, "is longer than the 4 MiB that can be read here" },
	{ EISDIR, 409, "is a folder" },
	{ ELOOP, 403, "is not in the project's folder" },
	{ ENAMETOOLONG, 400, "is too long a path" },
	{ ENOENT, 404, "does not exist" },
	{ ENOTDIR, 409, "is no folder, or goes through something that is none" },
	{ ENXIO, 409, "is no ordinary file" },
	{ EPERM, 403, "is not allowed to be changed" },
	{ EROFS, 403, "is on a read-only disk" },
	{ ESTALE, 412, "has changed since it was read: read it again before you replace it" },
	{ EXDEV, 403, "is not in the project's folder" },
};

void file_reply_mistake(struct http_request *request, const char *path, int error)
{
	for (size_t i = 0; i < ARRAY_LEN(file_mistakes); i++) {
		if (file_mistakes[i].error != error)
			continue;
		http_reply_error(
			request, file_mistakes[i].status, "'%s' %s", path, file_mistakes[i].text);
		return;
	}
	http_reply_error(request, 500, "'%s': %s", path, strerror(error));
}

static void file_on_done(struct job *job)
{
	struct file_job *j = container_of(job, struct file_job, job);
	char etag[VERSION_ETAG_MAX];

	if (j->result == 0 && j->version[0])
		http_request_set_etag(j->request, version_etag(j->version, etag));
	if (j->result < 0)
		file_reply_mistake(j->request, j->path, -j->result);
	else if (j->serve == file_list)
		http_reply_json(j->request, 200,
			json_pack("{s:b, s:O, s:b, s:b}", "success", 1, "entries", j->list, "more",
				j->more, "writable", j->writable));
	else if (j->serve == file_read)
		http_reply_bytes(j->request, 200, TYPE_BYTES, j->out, j->out_len);
	else
		http_reply_json(j->request, 200,
			json_pack("{s:b, s:I}", "success", 1, "size", (json_int_t)j->in_len));
}

void file_job_deinit(struct file_job *j)
{
	json_decref(j->list);
	secret_free(j->out);
	secret_free(j->in);
	free(j->path);
	free(j->if_match);
}

static void file_job_free(struct job *job)
{
	struct file_job *j = container_of(job, struct file_job, job);

	file_job_deinit(j);
	free(j);
}

/* NULL: out of memory. */
static struct file_job *file_job_new(
	struct api *api, struct http_request *request, const char *path, const char *if_match)
{
	struct file_job *j = calloc(1, sizeof(*j));
	const void *body;
	size_t len;

	if (!j)
		return NULL;
	http_request_body(request, &body, &len);
	*j = (struct file_job){
		.job = { .run = file_on_job, .done = file_on_done, .free = file_job_free },
		.request = request,
		.root = api->config.run->project_path,
		.path = strdup(path),
		.if_match = if_match ? strdup(if_match) : NULL,
		.in = malloc(max_u64(len, 1)),
		.in_len = len,
		.writable = api->config.run->app.writable,
	};
	if (!j->path || !j->in || (if_match && !j->if_match)) {
		file_job_free(&j->job);
		return NULL;
	}
	if (len > 0)
		memcpy(j->in, body, len);
	return j;
}

void file_job_start(struct api *api, struct file_job *j)
{
	unsigned waiting = 0;

	list_for_each(link, &api->file_jobs.jobs)
		waiting++;
	if (waiting < FILE_JOBS_MAX) {
		job_start(&api->file_jobs, &j->job);
		return;
	}
	http_reply_error(j->request, 503,
		"the project's folder doesn't answer: %u requests for its files wait", waiting);
	j->job.free(&j->job);
}

static void file_start(
	struct api *api, struct http_request *request, int (*serve)(struct file_job *j))
{
	const char *path = http_request_text(request, "path");
	const char *if_match = serve == file_write ? http_request_if_match(request) : NULL;
	struct file_job *j = file_job_new(api, request, path ? path : ".", if_match);

	if (!j) {
		http_reply_error(request, 500, "out of memory");
		return;
	}
	j->serve = serve;
	file_job_start(api, j);
}

void api_files_close(struct api *api)
{
	list_for_each(link, &api->file_jobs.jobs) {
		struct file_job *j = list_entry(link, struct file_job, job.link);

		if (j->request)
			http_reply_error(take_ptr(j->request), 503, "wasmrun ends");
	}
	job_line_close(&api->file_jobs);
}

void api_fs_list(void *owner, struct http_request *request)
{
	file_start(owner, request, file_list);
}

void api_fs_read(void *owner, struct http_request *request)
{
	file_start(owner, request, file_read);
}

void api_fs_write(void *owner, struct http_request *request)
{
	const struct api *api = owner;

	if (api->config.run->app.writable)
		file_start(owner, request, file_write);
	else
		http_reply_error(request, 403,
			"'%s' is not written: files of the project are changed from here only if "
			"wasmrun is started with --writable, which lets the application change "
			"them, too",
			http_request_text(request, "path"));
}
