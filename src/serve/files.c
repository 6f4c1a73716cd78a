/* SPDX-License-Identifier: MIT */
/*
 * Path, file, condition, range, reply: one function each. A path without a slash at its end means
 * the file of that name, else the page of that name (".html"), else the folder: sites are built
 * with a page beside the folder of what is below it.
 */
#include "serve/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/beneath.h"
#include "base/fd.h"
#include "mhd/etag.h"
#include "serve/field.h"
#include "serve/media_type.h"
#include "serve/navigation.h"
#include "serve/range.h"
#include "serve/serve_request.h"
#include "serve/request_target.h"

#define INDEX "index.html"
#define PAGE ".html"
#define NOT_FOUND "/404.html"
#define ALLOWED "GET, HEAD"
#define HEADER_MAX 96 /* of those made here, but Location */

/* Hidden, and public all the same, where it is the folder's own (RFC 8615). */
#define WELL_KNOWN "/.well-known/"

/* The settings are the owner's alone: there may be a secret in them. */
#define SETTINGS "wasmrun.toml"

/* What the reply says about a file. */
struct files_entry {
	int fd; /* owned */
	uint64_t size;
	char etag[HEADER_MAX], modified[HEADER_MAX];
	const char *type;
};

static void files_entry_close(struct files_entry *f)
{
	f->fd = fd_close(f->fd);
}

/*
 * Whether all parts of a decoded path may be shown. Hidden files are not: they are those of tools
 * (".git", ".env"), and ".." is one of them. An empty part would make "//host" of a redirection,
 * and so would a backslash for browsers.
 */
static bool files_path_is_public(const char *path)
{
	if (strncmp(path, WELL_KNOWN, strlen(WELL_KNOWN)) == 0)
		path += strlen(WELL_KNOWN) - 1;
	else if (strcmp(path, "/.well-known") == 0)
		return true;
	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (path[0] == '.' || (len == 0 && *path) || memchr(path, '\\', len))
			return false;
		if (len == strlen(SETTINGS) && strncasecmp(path, SETTINGS, len) == 0)
			return false;
		path += len;
	}
	return true;
}

static void files_format_time(char *out, time_t at)
{
	struct tm tm;

	/* The locale is "C": the names are English. */
	if (!gmtime_r(&at, &tm) || strftime(out, HEADER_MAX, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
		out[0] = '\0';
}

/*
 * Opens what a decoded path means, in place of what was open. -EISDIR: a folder, and the path has
 * no slash at its end. Where it has, its index is what is opened.
 */
static int files_entry_open(struct files_entry *f, const char *folder, const char *path)
{
	char index[PATH_MAX];
	size_t len = strlen(path);
	struct stat st;
	int r;

	files_entry_close(f);
	path++; /* "/" is the folder itself */
	if (path[0] == '\0' || path[len - 2] == '/') {
		if (snprintf(index, sizeof(index), "%s%s", path, INDEX) >= (int)sizeof(index))
			return -ENAMETOOLONG;
		path = index;
	}
	r = beneath_open(folder, path, O_RDONLY, &f->fd);
	if (r < 0)
		return r;
	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return path == index ? -ENOENT : -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	f->size = (uint64_t)st.st_size;
	f->type = media_type_of(path);
	snprintf(f->etag, sizeof(f->etag), "\"%" PRIx64 "-%" PRIx64 "\"",
		(uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec, f->size);
	files_format_time(f->modified, st.st_mtim.tv_sec);
	return 0;
}

/* The same as files_entry_open(), and -ENOENT for a page that can't be opened either. */
static int files_entry_find(struct files_entry *f, const char *folder, const char *path)
{
	char page[PATH_MAX];
	int r = files_entry_open(f, folder, path);

	if ((r != -ENOENT && r != -EISDIR) || path[strlen(path) - 1] == '/' ||
		snprintf(page, sizeof(page), "%s" PAGE, path) >= (int)sizeof(page))
		return r;
	return files_entry_open(f, folder, page) == 0 ? 0 : r;
}

int files_check(const struct files *f, const char **ret_missing)
{
	_cleanup_(files_entry_close) struct files_entry fallback = { .fd = -1 };
	char path[PATH_MAX];
	int fd = -1, r = beneath_open(f->path, ".", O_PATH, &fd);

	*ret_missing = f->path;
	fd_close(fd);
	if (r < 0 || !f->fallback)
		return r;
	*ret_missing = f->fallback;
	snprintf(path, sizeof(path), "/%s", f->fallback);
	return files_path_is_public(path) ? files_entry_open(&fallback, f->path, path) : -EPERM;
}

/* To the same path with a slash, which is what relative links in the page count from. */
static void files_reply_with_slash(struct serve_request *r)
{
	const char *query = serve_request_query(r);
	char location[2 * PATH_MAX];
	int n = snprintf(location, sizeof(location), "%s/%s%s", serve_request_path(r),
		query ? "?" : "", query ? query : "");

	if (n >= (int)sizeof(location)) {
		serve_reply_status(r, MHD_HTTP_URI_TOO_LONG);
		return;
	}
	serve_reply_status(r, MHD_HTTP_MOVED_PERMANENTLY);
	serve_reply_header(r, MHD_HTTP_HEADER_LOCATION, location);
}

/* A date is compared as text: it is one that was given here. */
static bool files_visitor_has_it(const struct serve_request *r, const struct files_entry *f)
{
	const char *tags = serve_request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH);
	const char *since = serve_request_header(r, MHD_HTTP_HEADER_IF_MODIFIED_SINCE);

	return tags ? etag_matches(tags, f->etag) : since && strcmp(since, f->modified) == 0;
}

static enum range files_range_of(
	const struct serve_request *r, const struct files_entry *f, uint64_t *offset, uint64_t *len)
{
	const char *only_if = serve_request_header(r, MHD_HTTP_HEADER_IF_RANGE);

	if (strcmp(serve_request_method(r), MHD_HTTP_METHOD_GET) != 0)
		return RANGE_NONE;
	if (only_if && strcmp(only_if, f->etag) != 0 && strcmp(only_if, f->modified) != 0)
		return RANGE_NONE;
	return range_parse(serve_request_header(r, MHD_HTTP_HEADER_RANGE), f->size, offset, len);
}

static void files_reply_file(struct serve_request *r, struct files_entry *f)
{
	uint64_t offset = 0, len = f->size;
	bool has_it = files_visitor_has_it(r, f);
	enum range range = has_it ? RANGE_NONE : files_range_of(r, f, &offset, &len);
	char text[HEADER_MAX] = "";

	if (range == RANGE_UNSATISFIABLE) {
		serve_reply_status(r, MHD_HTTP_RANGE_NOT_SATISFIABLE);
		snprintf(text, sizeof(text), "bytes */%" PRIu64, f->size);
	} else {
		/* The head of a 304 says how long the file is, and there is no more of it. */
		serve_reply_file(r,
			has_it                ? MHD_HTTP_NOT_MODIFIED
			: range == RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT
					      : MHD_HTTP_OK,
			take_fd(&f->fd), offset, len);
		serve_reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, f->type);
		if (range == RANGE_PART)
			snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
				offset, offset + len - 1, f->size);
	}
	if (text[0])
		serve_reply_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
	serve_reply_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	serve_reply_header(r, MHD_HTTP_HEADER_ETAG, f->etag);
	serve_reply_header(r, MHD_HTTP_HEADER_LAST_MODIFIED, f->modified);
}

static unsigned files_status_of(int r)
{
	switch (r) {
	case -EACCES:
	case -EPERM:
		return MHD_HTTP_FORBIDDEN;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	case -EIO:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	default:
		return MHD_HTTP_NOT_FOUND;
	}
}

static bool files_asks_for_page(const struct serve_request *r, const char *path)
{
	const struct navigation n = {
		.path = path,
		.accept = serve_request_header(r, MHD_HTTP_HEADER_ACCEPT),
		.fetch_mode = serve_request_header(r, "Sec-Fetch-Mode"),
	};

	return navigation_is(&n);
}

/* There is no file. */
static void files_reply_missing(
	struct serve_request *r, const struct files *files, const char *path)
{
	_cleanup_(files_entry_close) struct files_entry file = { .fd = -1 };
	char fallback[PATH_MAX];

	snprintf(fallback, sizeof(fallback), "/%s", files->fallback ? files->fallback : "");
	if (files->fallback && files_asks_for_page(r, path) && files_path_is_public(path) &&
		files_entry_open(&file, files->path, fallback) == 0) {
		files_reply_file(r, &file);
	} else if (files_entry_open(&file, files->path, NOT_FOUND) == 0) {
		serve_reply_file(r, MHD_HTTP_NOT_FOUND, take_fd(&file.fd), 0, file.size);
		serve_reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, file.type);
	} else {
		serve_reply_status(r, MHD_HTTP_NOT_FOUND);
	}
	if (files->fallback)
		serve_reply_header(r, MHD_HTTP_HEADER_VARY, "Accept, Sec-Fetch-Mode");
}

static void files_reply_path(struct serve_request *r, const struct files *files, const char *path)
{
	_cleanup_(files_entry_close) struct files_entry file = { .fd = -1 };
	int error =
		files_path_is_public(path) ? files_entry_find(&file, files->path, path) : -ENOENT;
	unsigned status = files_status_of(error);

	if (error == 0)
		files_reply_file(r, &file);
	else if (error == -EISDIR)
		files_reply_with_slash(r);
	else if (status == MHD_HTTP_NOT_FOUND)
		files_reply_missing(r, files, path);
	else
		serve_reply_status(r, status);
}

/* The user's, and what he doesn't say. */
static void files_add_fields(struct serve_request *r, const struct files *files)
{
	bool caching = false;

	for (size_t i = 0; i < files->field_count; i++) {
		serve_reply_header(r, files->fields[i].name, files->fields[i].value);
		caching |= strcasecmp(files->fields[i].name, MHD_HTTP_HEADER_CACHE_CONTROL) == 0;
	}
	/* To be asked for again each time, which is a 304: the folder is being worked on. */
	if (!caching)
		serve_reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
}

void files_answer(void *owner, struct serve_request *request)
{
	const struct files *files = owner;
	const char *method = serve_request_method(request);
	char path[PATH_MAX];

	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		serve_reply_status(request, MHD_HTTP_METHOD_NOT_ALLOWED);
		serve_reply_header(request, MHD_HTTP_HEADER_ALLOW, ALLOWED);
	} else if (snprintf(path, sizeof(path), "%s", serve_request_path(request)) >=
		   (int)sizeof(path)) {
		serve_reply_status(request, MHD_HTTP_URI_TOO_LONG);
	} else if (request_target_decode(path) < 0) {
		serve_reply_status(request, MHD_HTTP_BAD_REQUEST);
	} else {
		files_reply_path(request, files, path);
	}
	files_add_fields(request, files);
}
