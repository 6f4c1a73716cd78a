/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP/1.1 server for WASI preview 1: it accepts connections on a listening socket that it
 * is handed as a descriptor, and answers each request with a page about it.
 *
 * One poll() waits for the listener and all connections, so that one that says nothing holds up
 * nobody. A connection is kept for further requests; when there are too many, the one that was
 * silent for longest makes room.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A request's head must fit; larger ones are refused. */
#define HEAD_MAX 8192

#define CONNECTIONS_MAX 64

struct connection {
	int fd;                /* -1 for a free place */
	char in[HEAD_MAX + 1]; /* what was read of the next request's head, and a NUL */
	size_t len;
	size_t skip;        /* bytes of the last request's body that are still to come */
	unsigned last_used; /* counts up with each use of any connection */
};

struct request {
	char method[16];
	char path[1024];
	bool keep_alive;
	size_t body_len;
};

static bool write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* Copies text into HTML; the path may be anything. */
static void escape(char *out, size_t size, const char *text)
{
	size_t used = 0;

	for (; *text && used + 7 < size; text++) {
		if (strchr("<>&\"", *text) || (unsigned char)*text < ' ')
			used += (size_t)snprintf(out + used, size - used, "&#%d;", *text);
		else
			out[used++] = *text;
	}
	out[used] = '\0';
}

static bool respond(int fd, const char *status, const char *body, const struct request *request)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
		"HTTP/1.1 %s\r\n"
		"Content-Type: text/html; charset=utf-8\r\n"
		"Content-Length: %zu\r\n"
		"Connection: %s\r\n"
		"\r\n",
		status, strlen(body), request->keep_alive ? "keep-alive" : "close");

	if (!write_all(fd, head, (size_t)n))
		return false;
	return strcmp(request->method, "HEAD") == 0 || write_all(fd, body, strlen(body));
}

static bool respond_page(int fd, const struct request *request)
{
	static unsigned visits;
	char path[6 * sizeof(request->path)], body[sizeof(path) + 512], when[32];
	time_t now = time(NULL);

	escape(path, sizeof(path), request->path);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", gmtime(&now));
	snprintf(body, sizeof(body),
		"<!doctype html>\n"
		"<title>Hello from C</title>\n"
		"<h1>Hello from C in WebAssembly</h1>\n"
		"<p>You sent <code>%s %s</code> at %s UTC, as visit %u.</p>\n",
		request->method, path, when, ++visits);
	return respond(fd, "200 OK", body, request);
}

/* The value of a header, or NULL; head is the request up to its empty line. */
static const char *find_header(const char *head, const char *name)
{
	size_t len = strlen(name);

	while ((head = strstr(head, "\r\n"))) {
		head += 2;
		if (strncasecmp(head, name, len) == 0 && head[len] == ':')
			return head + len + 1 + strspn(head + len + 1, " \t");
	}
	return NULL;
}

/* Reads "METHOD PATH HTTP/1.x" and the headers that matter here. */
static bool parse_request(const char *head, struct request *request)
{
	const char *length = find_header(head, "Content-Length");
	const char *connection = find_header(head, "Connection");
	unsigned minor;
	char *end;

	if (sscanf(head, "%15[A-Z] %1023[^ \r\n] HTTP/1.%1u", request->method, request->path,
		    &minor) != 3)
		return false;
	if (find_header(head, "Transfer-Encoding"))
		return false; /* a body of unknown length: more than this example reads */
	request->keep_alive = minor >= 1;
	if (connection && strncasecmp(connection, "close", 5) == 0)
		request->keep_alive = false;
	else if (connection && strncasecmp(connection, "keep-alive", 10) == 0)
		request->keep_alive = true;
	if (length) {
		if (!isdigit((unsigned char)*length))
			return false;
		errno = 0;
		request->body_len = strtoul(length, &end, 10);
		if (errno != 0 || (*end != '\r' && *end != '\0'))
			return false;
	}
	return true;
}

/* Leaves out what is there of the body that is to be skipped. */
static void skip_body(struct connection *c)
{
	size_t n = c->skip < c->len ? c->skip : c->len;

	c->skip -= n;
	c->len -= n;
	memmove(c->in, c->in + n, c->len);
}

/* Answers a request whose head, head_len bytes with its empty line, is complete. */
static bool serve_request(struct connection *c, size_t head_len)
{
	struct request request = { .method = "", .keep_alive = false };

	c->in[head_len - 2] = '\0';
	if (!parse_request(c->in, &request)) {
		request.keep_alive = false;
		respond(c->fd, "400 Bad Request", "That was not understood.\n", &request);
		return false;
	}
	c->len -= head_len;
	memmove(c->in, c->in + head_len, c->len);
	c->skip = request.body_len;
	printf("%s %s\n", request.method, request.path);
	fflush(stdout);
	return respond_page(c->fd, &request) && request.keep_alive;
}

/* Reads what has come and answers each request in it. Returns whether the connection goes on. */
static bool serve(struct connection *c)
{
	static const struct request unknown = { .method = "", .keep_alive = false };
	ssize_t n = read(c->fd, c->in + c->len, HEAD_MAX - c->len);
	const char *end;

	if (n <= 0)
		return false;
	c->len += (size_t)n;
	for (;;) {
		skip_body(c);
		c->in[c->len] = '\0';
		end = strstr(c->in, "\r\n\r\n");
		if (!end)
			break;
		if (!serve_request(c, (size_t)(end + 4 - c->in)))
			return false;
	}
	if (c->len == HEAD_MAX) {
		respond(c->fd, "431 Request Header Fields Too Large", "That is too long.\n",
			&unknown);
		return false;
	}
	return true;
}

static void hang_up(struct connection *c)
{
	shutdown(c->fd, SHUT_RDWR);
	close(c->fd);
	c->fd = -1;
}

/* A free place, or that of the connection that was silent for longest. */
static struct connection *find_place(struct connection *connections)
{
	struct connection *oldest = &connections[0];

	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		if (connections[i].fd < 0)
			return &connections[i];
		if (connections[i].last_used < oldest->last_used)
			oldest = &connections[i];
	}
	hang_up(oldest);
	return oldest;
}

static void accept_one(int listener, struct connection *connections, unsigned use)
{
	struct connection *c;
	int fd = accept(listener, NULL, NULL);

	if (fd < 0) {
		/* The visitor may have gone, or gone to another instance. */
		if (errno != EAGAIN)
			perror("hello-c: accept");
		return;
	}
	c = find_place(connections);
	c->fd = fd;
	c->len = c->skip = 0;
	c->last_used = use;
}

int main(void)
{
	static struct connection connections[CONNECTIONS_MAX];
	struct pollfd fds[CONNECTIONS_MAX + 1];
	struct connection *polled[CONNECTIONS_MAX + 1];
	const char *number = getenv("WASMHUB_LISTEN_FD");
	int listener = number ? atoi(number) : 3;

	for (int i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].fd = -1;
	printf("hello-c: serving on descriptor %d\n", listener);
	fflush(stdout);
	for (unsigned use = 1;; use++) {
		nfds_t n = 0;

		fds[n++] = (struct pollfd){ .fd = listener, .events = POLLIN };
		for (int i = 0; i < CONNECTIONS_MAX; i++) {
			if (connections[i].fd < 0)
				continue;
			polled[n] = &connections[i];
			fds[n++] = (struct pollfd){ .fd = connections[i].fd, .events = POLLIN };
		}
		if (poll(fds, n, -1) < 0) {
			perror("hello-c: poll");
			return 1;
		}
		for (nfds_t i = 1; i < n; i++) {
			if (!fds[i].revents)
				continue;
			polled[i]->last_used = use;
			if (!serve(polled[i]))
				hang_up(polled[i]);
		}
		if (fds[0].revents)
			accept_one(listener, connections, use);
	}
}
