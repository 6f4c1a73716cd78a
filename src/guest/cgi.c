/* SPDX-License-Identifier: MIT */
/*
 * A request, from its arrival to its answer, on a worker thread of serve/: variables and body
 * become an instance's environment and standard input; the instance runs to its end, at most for
 * the config's time; then what it has written is looked at, and sent as a whole or not at all. So a
 * visitor sees nothing of a program that trapped half-way. Between requests nothing is kept but the
 * compiled module.
 *
 * What a program writes goes to a file in memory that can't grow (F_SEAL_GROW), so the kernel ends
 * a response that is too long. The file is the request's, until serve/ takes it over to send it.
 */
#include "guest/cgi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/wasm_instance.h"
#include "guest/compiled.h"
#include "net/addr.h"
#include "serve/cgi_env.h"
#include "serve/cgi_response.h"
#include "serve/serve_request.h"
#include "serve/serve.h"

#define LOG "cgi"

/* A response that is no longer than this is sent at once with its head. */
#define OUTPUT_READ (2 * CGI_HEAD_MAX)

/* One page more than a response may have, so that one that is too long can be told. */
#define OUTPUT_FILE (CGI_OUTPUT_MAX + 4096)

enum { BAD_REQUEST = 400, BROKEN = 500, BAD_GATEWAY = 502, BUSY = 503, LATE = 504 };

struct cgi {
	struct compiled program;
	uint16_t port; /* the listener's */
	int null;      /* the input of a request without a body */
	int err;       /* standard error of the programs */
};

static void cgi_close(struct cgi *c)
{
	compiled_close(&c->program);
	c->null = fd_close(c->null);
	c->err = fd_close(c->err);
}

/*
 * Opens standard error once more, non-blocking: a pipe whose reader is slow would hold up a program
 * in the middle of a call, beyond its time. O_NONBLOCK belongs to the open file, which descriptor 2
 * shares with whoever has given it to us; so a pipe is opened anew (proc(5), /proc/self/fd).
 * Nothing else blocks for long.
 */
static int cgi_open_err(void)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDERR_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
}

static int cgi_open_out(void)
{
	_cleanup_(fd_closep) int fd = memfd_create("response", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, OUTPUT_FILE) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		return -errno;
	return take_fd(&fd);
}

/* The address in numbers; empty for one of another family. */
static void cgi_peer_text(const struct sockaddr *sa, char out[INET6_ADDRSTRLEN])
{
	const void *address = sa->sa_family == AF_INET6
				      ? (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr
				      : (const void *)&((const struct sockaddr_in *)sa)->sin_addr;

	if (!inet_ntop(sa->sa_family, address, out, INET6_ADDRSTRLEN))
		out[0] = '\0';
}

struct cgi_headers {
	struct cgi_env *env;
	int r;
};

static void cgi_add_header(void *data, const char *name, const char *value)
{
	struct cgi_headers *sink = data;

	if (sink->r == 0)
		sink->r = cgi_env_add_header(sink->env, name, value);
}

static int cgi_make_env(const struct cgi *c, struct serve_request *request, struct cgi_env *env)
{
	struct cgi_headers sink = { .env = env };
	char peer[INET6_ADDRSTRLEN];
	struct cgi_request meta = {
		.method = serve_request_method(request),
		.version = serve_request_version(request),
		.path = serve_request_path(request),
		.query = serve_request_query(request),
		.host = serve_request_header(request, "Host"),
		.content_type = serve_request_header(request, "Content-Type"),
		.peer = peer,
		.port = c->port,
	};

	(void)serve_request_body(request, &meta.body_len);
	cgi_peer_text(serve_request_peer(request), peer);
	sink.r = cgi_env_init(env, &meta);
	if (sink.r == 0)
		serve_request_headers(request, cgi_add_header, &sink);
	return sink.r;
}

static void cgi_refuse(struct serve_request *request, unsigned status, const char *why)
{
	char path[256];
	const char *raw = serve_request_path(request);

	log_warn(LOG, "%u for '%s': %s", status, log_escape(path, sizeof(path), raw, strlen(raw)),
		why);
	serve_reply_status(request, status);
}

/* Sends what is in the file: its first len bytes, of which head has as many as it holds. */
static void cgi_reply_output(
	struct serve_request *request, int *fd, uint64_t len, char *head, size_t head_len)
{
	struct cgi_response response;
	char why[CGI_WHY_MAX];

	if (cgi_response_parse(head, head_len, &response, why) < 0) {
		cgi_refuse(request, BAD_GATEWAY, why);
		return;
	}
	/* These have no document, whatever the program says. */
	if (response.status == 204 || response.status == 205 || response.status == 304) {
		len = response.body;
	} else if (len - response.body < response.length &&
		   strcmp(serve_request_method(request), "HEAD") != 0) {
		(void)snprintf(why, sizeof(why),
			"it has written %" PRIu64 " of the %" PRIu64
			" bytes that its Content-Length says",
			len - response.body, response.length);
		cgi_refuse(request, BAD_GATEWAY, why);
		return;
	}
	if (len <= head_len)
		serve_reply_data(request, response.status, head + response.body,
			(size_t)len - response.body);
	else
		serve_reply_file(
			request, response.status, take_fd(fd), response.body, len - response.body);
	serve_reply_reason(request, response.reason);
	for (size_t i = 0; i < response.count; i++)
		serve_reply_header(request, response.fields[i].name, response.fields[i].value);
}

static void cgi_answer_from(struct serve_request *request, int *fd)
{
	off_t len = lseek(*fd, 0, SEEK_CUR);
	size_t head_len = (size_t)min_u64((uint64_t)len, OUTPUT_READ);
	char *head;

	if (len > CGI_OUTPUT_MAX) {
		cgi_refuse(request, BAD_GATEWAY, "its response is longer than 32 MiB");
		return;
	}
	if (!serve_request_hold(request, (uint64_t)len))
		return;
	head = malloc(head_len + 1);
	if (head && pread(*fd, head, head_len, 0) == (ssize_t)head_len)
		cgi_reply_output(request, fd, (uint64_t)len, head, head_len);
	else
		serve_reply_status(request, BUSY);
	free(head);
}

/* What an end means for the visitor. */
static void cgi_answer_after(struct serve_request *request, const struct guest_end *end, int *fd)
{
	switch (end->reason) {
	case GUEST_EXIT_OWN:
		if (end->code != 0)
			log_warn(LOG, "the program has ended with code %" PRIu32, end->code);
		cgi_answer_from(request, fd);
		break;
	case GUEST_EXIT_DEADLINE:
		cgi_refuse(request, LATE, end->why);
		break;
	case GUEST_EXIT_TRAP:
		cgi_refuse(request, BAD_GATEWAY, end->why);
		break;
	default:
		cgi_refuse(request, BROKEN, end->why);
	}
}

static void cgi_answer(void *owner, struct serve_request *request)
{
	struct cgi *c = owner;
	_cleanup_(cgi_env_clear) struct cgi_env env = { 0 };
	_cleanup_(fd_closep) int out = -1;
	struct wasm_instance_io io = { .in = c->null, .err = c->err };
	struct guest_end end;
	uint64_t body_len;
	int r = cgi_make_env(c, request, &env);

	if (r < 0) {
		serve_reply_status(request, r == -EINVAL ? BAD_REQUEST : BUSY);
		return;
	}
	out = cgi_open_out();
	if (out < 0) {
		cgi_refuse(request, BUSY, strerror(-out));
		return;
	}
	io.out = out;
	io.env = env.vars;
	io.n_env = env.count;
	if (serve_request_body(request, &body_len) >= 0) {
		io.in = serve_request_body(request, &body_len);
		(void)lseek(io.in, 0, SEEK_SET);
	}
	wasm_instance_run(&c->program, &io, &end);
	cgi_answer_after(request, &end, &out);
}

int cgi_run(struct guest_config *config)
{
	_cleanup_(cgi_close) struct cgi c = { .null = -1, .err = -1 };
	struct serve_config serve = {
		.listen_fd = config->listen_fd,
		.handler = cgi_answer,
		.owner = &c,
		.workers = CGI_WORKERS,
	};
	struct addr own;
	int r;

	if (addr_of_socket(config->listen_fd, &own) == 0)
		c.port = addr_port(&own);
	c.null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	c.err = cgi_open_err();
	r = compiled_open(&c.program, config);
	if (r == 0)
		r = wasm_instance_check(&c.program);
	if (r != 0)
		return r;
	serve.status_fd = config->status_fd;
	r = serve_run(&serve);
	return r < 0 ? guest_fail(&config->end, GUEST_EXIT_SETUP, "can't serve: %s", strerror(-r))
		     : 0;
}
