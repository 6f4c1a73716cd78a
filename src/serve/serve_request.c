/* SPDX-License-Identifier: MIT */
/*
 * Bodies go to a file in memory (memfd_create(2)) as they come: what reads them reads a file, and
 * nothing of them is in our own memory. Their sum is bounded, since visitors choose it.
 */
#include "serve/serve_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "mhd/mhd.h"
#include "mhd/reason.h"
#include "net/lingering.h"
#include "serve/serve_internal.h"
#include "serve/serve.h"
#include "serve/request_target.h"

#define LOG_TARGET_MAX 600 /* of a target in the log, escaped */

#define FILE_BLOCK 65536 /* that is read at a time */

struct reply_file {
	int fd; /* owned */
	uint64_t offset;
};

struct serve_request *serve_request_new(
	struct MHD_Connection *connection, const char *target, atomic_ullong *held_total)
{
	struct serve_request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	list_init(&r->link);
	r->connection = connection;
	r->held_total = held_total;
	r->body_fd = -1;
	r->target = strdup(target);
	r->parts = strdup(target);
	return r->target && r->parts ? r : serve_request_free(r);
}

struct serve_request *serve_request_free(struct serve_request *r)
{
	if (!r)
		return NULL;
	if (r->response)
		MHD_destroy_response(r->response);
	atomic_fetch_sub(r->held_total, r->held);
	fd_close(r->body_fd);
	if (r->reason)
		mhd_reason_forget(r->reason);
	free(r->reason);
	free(r->target);
	free(r->parts);
	free(r);
	return NULL;
}

bool serve_request_hold(struct serve_request *r, uint64_t len)
{
	if (atomic_fetch_add(r->held_total, len) + len > SERVE_HELD_MAX) {
		atomic_fetch_sub(r->held_total, len);
		serve_reply_status(r, MHD_HTTP_SERVICE_UNAVAILABLE);
		return false;
	}
	r->held += len;
	return true;
}

void serve_request_begin(struct serve_request *r, const char *method, const char *version)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	uint64_t len;
	enum mhd_body body = mhd_body_of(r->connection, &len);

	r->begun = true;
	r->method = method;
	r->version = version;
	if (request_target_split(r->parts, &r->path, &r->query) < 0 || body == MHD_BODY_TWICE)
		serve_reply_status(r, MHD_HTTP_BAD_REQUEST);
	else if (body == MHD_BODY_UNKNOWN)
		serve_reply_status(r, MHD_HTTP_NOT_IMPLEMENTED);
	else if (info && info->header_size > SERVE_HEAD_MAX)
		serve_reply_status(r, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE);
	else if (len > SERVE_BODY_MAX)
		serve_reply_status(r, MHD_HTTP_CONTENT_TOO_LARGE);
}

bool serve_request_take_body(struct serve_request *r, const void *data, size_t len)
{
	r->body_seen += len;
	if (r->body_seen > MHD_DROP_MAX) {
		lingering_cut(r->conn->mhd.fd);
		return false;
	}
	if (r->status)
		return true;
	if (r->body_len + len > SERVE_BODY_MAX) {
		serve_reply_status(r, MHD_HTTP_CONTENT_TOO_LARGE);
		return true;
	}
	if (!serve_request_hold(r, len))
		return true;
	if (r->body_fd < 0)
		r->body_fd = memfd_create("body", MFD_CLOEXEC);
	if (r->body_fd < 0 || fd_write_full(r->body_fd, data, len) < 0)
		return false;
	r->body_len += len;
	return true;
}

void serve_request_log(const struct serve_request *r)
{
	char target[LOG_TARGET_MAX], method[32];
	bool bare =
		r->status == MHD_HTTP_NOT_MODIFIED || strcmp(r->method, MHD_HTTP_METHOD_HEAD) == 0;

	printf("%s %s %u %" PRIu64 "\n",
		log_escape(method, sizeof(method), r->method, strlen(r->method)),
		log_escape(target, sizeof(target), r->target, strlen(r->target)), r->status,
		bare ? 0 : r->reply_len);
}

const char *serve_request_method(const struct serve_request *r)
{
	return r->method;
}

const char *serve_request_version(const struct serve_request *r)
{
	return r->version;
}

const char *serve_request_path(const struct serve_request *r)
{
	return r->path;
}

const char *serve_request_query(const struct serve_request *r)
{
	return r->query;
}

const char *serve_request_header(const struct serve_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

struct header_walk {
	void (*fn)(void *data, const char *name, const char *value);
	void *data;
};

static enum MHD_Result on_header(
	void *owner, enum MHD_ValueKind kind, const char *name, const char *value)
{
	const struct header_walk *walk = owner;

	walk->fn(walk->data, name, value ? value : "");
	return MHD_YES;
}

void serve_request_headers(struct serve_request *r,
	void (*fn)(void *data, const char *name, const char *value), void *data)
{
	struct header_walk walk = { fn, data };

	(void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, on_header, &walk);
}

const struct sockaddr *serve_request_peer(const struct serve_request *r)
{
	return MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
		->client_addr;
}

int serve_request_body(const struct serve_request *r, uint64_t *ret_len)
{
	*ret_len = r->body_len;
	return r->body_fd;
}

/* --- replies --- */

static void serve_request_reply(
	struct serve_request *r, unsigned status, struct MHD_Response *response, uint64_t len)
{
	r->status = status;
	r->response = response;
	r->reply_len = len;
}

void serve_reply_data(struct serve_request *r, unsigned status, const void *data, size_t len)
{
	/* It is copied, so that it isn't written to. */
	serve_request_reply(r, status,
		MHD_create_response_from_buffer(
			len, (void *)(uintptr_t)data, MHD_RESPMEM_MUST_COPY),
		len);
}

/* Of libmicrohttpd's own replies from a file one that becomes shorter would never end. */
static ssize_t reply_file_read(void *owner, uint64_t at, char *out, size_t max)
{
	const struct reply_file *file = owner;
	ssize_t n = pread(file->fd, out, max, (off_t)(file->offset + at));

	return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void reply_file_free(void *owner)
{
	struct reply_file *file = owner;

	fd_close(file->fd);
	free(file);
}

void serve_reply_file(
	struct serve_request *r, unsigned status, int take_fd, uint64_t offset, uint64_t len)
{
	struct reply_file *file = malloc(sizeof(*file));
	struct MHD_Response *response = NULL;

	if (file) {
		*file = (struct reply_file){ .fd = take_fd, .offset = offset };
		response = MHD_create_response_from_callback(
			len, FILE_BLOCK, reply_file_read, file, reply_file_free);
		if (!response)
			reply_file_free(file);
	} else {
		fd_close(take_fd);
	}
	serve_request_reply(r, status, response, len);
}

void serve_reply_status(struct serve_request *r, unsigned status)
{
	char text[80];
	int n = snprintf(text, sizeof(text), "%u %s\n", status, MHD_get_reason_phrase_for(status));

	serve_reply_data(r, status, text, (size_t)n);
	serve_reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
}

void serve_reply_header(struct serve_request *r, const char *name, const char *value)
{
	/* libmicrohttpd takes no empty value; white space around one is none of it (RFC 9110, 5.5).
	 */
	if (r->response)
		(void)MHD_add_response_header(r->response, name, *value ? value : " ");
}

void serve_reply_reason(struct serve_request *r, const char *reason)
{
	free(r->reason);
	r->reason = *reason ? strdup(reason) : NULL;
}
