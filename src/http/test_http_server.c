/* SPDX-License-Identifier: MIT */
/* A server on a loop of the test's own, and clients on plain sockets of another thread. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/lang.h"
#include "http/asset.h"
#include "http/conns.h"
#include "http/http_server.h"
#include "http/http_request.h"
#include "http/route.h"
#include "http/sse.h"

#define BODY_MAX 100
#define ANSWER_MAX 65536
#define DEADLINE_S 20
#define DRIP_MS 5
#define HOST "Host: localhost\r\n"

struct fixture {
	uv_loop_t loop;
	struct http_server *server;
	struct sse_hub hub;
	uv_async_t over; /* the client's thread is done */
	uv_timer_t later;
	uv_idle_t flood; /* of events, where `floods` says so */
	unsigned events;
	bool floods;
	struct http_request *kept;
	unsigned handled;
	bool closed;
	/* The client. */
	pthread_t thread;
	struct addr addr;
	const char *requests; /* sent in one write, */
	const char *rest;     /* behind the flood; */
	bool drips;           /* or byte by byte, for ever */
	uint64_t head_timeout_ms, idle_timeout_ms, late_ms;
	unsigned answers; /* to be read: up to as many times `until` */
	const char *until;
	char *text; /* what came */
};

/* --- the server's side --- */

static void on_kept_late(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	http_reply_json(f->kept, 202, json_pack("{s:b}", "late", 1));
}

static void get_late(void *owner, struct http_request *request)
{
	struct fixture *f = owner;

	f->kept = request;
	(void)uv_timer_start(&f->later, on_kept_late, f->late_ms, 0);
}

static void get_fixed(void *owner, struct http_request *request)
{
	http_reply_bytes(request, 200, "text/plain", "fixed", 5);
}

static void get_query(void *owner, struct http_request *request)
{
	http_reply_json(request, 200,
		json_pack("{s:s?, s:I, s:i}", "word", http_request_text(request, "word"), "n",
			(json_int_t)http_request_number(request, "n"), "color",
			http_request_word(request, "color")));
}

static void delete_port(void *owner, struct http_request *request)
{
	http_reply_json(request, 200,
		json_pack("{s:s, s:I}", "id", http_request_text(request, "id"), "port",
			(json_int_t)http_request_number(request, "port")));
}

static void post_json(void *owner, struct http_request *request)
{
	struct fixture *f = owner;
	json_t *body = http_request_json(request);

	f->handled++;
	if (body)
		http_reply_json(request, 200, body);
}

static void on_event_time(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	sse_publish(&f->hub, "later", "2");
	sse_beat(&f->hub);
}

/* An event in each turn of the loop, and then their end. */
static void on_flood(uv_idle_t *idle)
{
	struct fixture *f = idle->data;

	sse_publish(&f->hub, "flood", "1");
	if (++f->events < 2 * HTTP_TURNS_MAX)
		return;
	sse_hub_end(&f->hub);
	(void)uv_idle_stop(idle);
}

/* The first event at once, the second when the reader is asleep. */
static void get_events(void *owner, struct http_request *request)
{
	struct fixture *f = owner;
	struct sse_reader *reader = sse_accept(&f->hub, request);

	if (!reader)
		return;
	sse_send(reader, "hello", "1");
	if (f->floods)
		(void)uv_idle_start(&f->flood, on_flood);
	else
		(void)uv_timer_start(&f->later, on_event_time, 10, 0);
}

static const struct http_asset assets[] = {
	{ "/app.js", "text/javascript", "\"1a\"", false, "script", 6 },
	{ "/app-3QH2WXYZ.js", "text/javascript", "\"2b\"", true, "hashed", 6 },
};
static const char *const colors[] = { "red", "blue", NULL };
static const struct http_route routes[] = {
	{ .method = HTTP_GET, .path = "/app.js", .handler = http_get_asset, .asset = &assets[0] },
	{ .method = HTTP_GET,
		.path = "/app-3QH2WXYZ.js",
		.handler = http_get_asset,
		.asset = &assets[1] },
	{ .method = HTTP_GET, .path = "/events", .handler = get_events },
	{ .method = HTTP_GET, .path = "/fixed", .handler = get_fixed },
	{ .method = HTTP_GET, .path = "/late", .handler = get_late },
	{ .method = HTTP_GET, .path = "/open", .handler = get_fixed, .open = true },
	{ .method = HTTP_GET,
		.path = "/query",
		.handler = get_query,
		.params = { { .name = "word" },
			{ .name = "n", .type = HTTP_NUMBER, .min = 1, .max = 10, .fallback = 3 },
			{ .name = "color", .type = HTTP_WORD, .words = colors } } },
	{ .method = HTTP_DELETE,
		.path = "/items/{id}/ports/{port}",
		.handler = delete_port,
		.params = { { .name = "port", .type = HTTP_NUMBER, .min = 1, .max = 65535 },
			{ .name = "id", .type = HTTP_ID } } },
	{ .method = HTTP_POST, .path = "/json", .handler = post_json, .body_max = BODY_MAX },
};

static void on_closed(void *owner)
{
	struct fixture *f = owner;

	f->closed = true;
}

static void on_over(uv_async_t *async)
{
	struct fixture *f = async->data;

	uv_close((uv_handle_t *)&f->over, NULL);
	uv_close((uv_handle_t *)&f->later, NULL);
	uv_close((uv_handle_t *)&f->flood, NULL);
	sse_hub_end(&f->hub);
	http_server_close(f->server, on_closed, f);
}

/* --- the client's side --- */

static unsigned count_of(const char *text, const char *word)
{
	unsigned count = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		count++;
	return count;
}

/* Connects, and says that; *ret_n is as of send(2), 0 where there is no connection. */
static int client_open(const struct fixture *f, const char *words, ssize_t *ret_n)
{
	int fd = socket(f->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval deadline = { .tv_sec = DEADLINE_S };

	*ret_n = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
	if (connect(fd, &f->addr.sa, addr_len(&f->addr)) == 0)
		*ret_n = send(fd, words, strlen(words), MSG_NOSIGNAL);
	return fd;
}

/* Reads the events from another connection to their end. */
static void client_read_flood(const struct fixture *f)
{
	char events[256];
	ssize_t n;
	int fd = client_open(f, "GET /events HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", &n);

	while (n > 0)
		n = recv(fd, events, sizeof(events), 0);
	(void)close(fd);
}

static void *run_client(void *arg)
{
	struct fixture *f = arg;
	size_t len = 0;
	ssize_t n;
	int fd = client_open(f, f->requests, &n);

	if (f->floods) {
		client_read_flood(f);
		n = send(fd, f->rest, strlen(f->rest), MSG_NOSIGNAL);
	}
	while (f->drips && n > 0) {
		(void)poll(&(struct pollfd){ .fd = fd, .events = POLLRDHUP }, 1, DRIP_MS);
		n = send(fd, "x", 1, MSG_NOSIGNAL);
	}
	while (n > 0 && count_of(f->text, f->until) < f->answers) {
		n = recv(fd, f->text + len, ANSWER_MAX - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	(void)close(fd);
	(void)uv_async_send(&f->over);
	return NULL;
}

/* What the server says to `requests`, until `until` has come `answers` times or it closes. */
static char *talk(struct fixture *f, const char *token)
{
	struct http_server_config config = {
		.token = token,
		.routes = routes,
		.route_count = ARRAY_LEN(routes),
		.owner = f,
		.head_timeout_ms = f->head_timeout_ms,
		.idle_timeout_ms = f->idle_timeout_ms,
	};

	f->text = calloc(1, ANSWER_MAX);
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &config.addr), 0);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	sse_hub_init(&f->hub);
	assert_int_equal(http_server_new(&f->loop, &config, &f->server), 0);
	f->addr = *http_server_addr(f->server);
	assert_int_not_equal(addr_port(&f->addr), 0);
	assert_int_equal(uv_async_init(&f->loop, &f->over, on_over), 0);
	assert_int_equal(uv_timer_init(&f->loop, &f->later), 0);
	assert_int_equal(uv_idle_init(&f->loop, &f->flood), 0);
	f->over.data = f->later.data = f->flood.data = f;
	assert_int_equal(pthread_create(&f->thread, NULL, run_client, f), 0);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->closed);
	assert_int_equal(f->hub.count, 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	return f->text;
}

static char *talk_until(struct fixture *f, const char *token, const char *requests,
	unsigned answers, const char *until)
{
	*f = (struct fixture){ .requests = requests, .answers = answers, .until = until };
	return talk(f, token);
}

static const struct {
	const char *token, *request;
	const char *status, *body; /* what the answer starts with, and holds */
} cases[] = {
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "fixed" },
	{ NULL, "GET /fixed?x HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "fixed" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "nosniff" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
		"Cross-Origin-Resource-Policy: same-origin" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "default-src 'none'" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "no-store" },
	{ NULL, "GET /app.js HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "script" },
	{ NULL, "GET /app.js HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
		"Cache-Control: no-cache\r\n" },
	{ NULL, "GET /app.js HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "default-src 'none'" },
	{ NULL, "GET /app.js HTTP/1.1\r\n" HOST "If-None-Match: \"2b\"\r\n\r\n", "HTTP/1.1 200",
		"script" },
	{ NULL, "GET /app.js HTTP/1.1\r\n" HOST "If-None-Match: \"1a\"\r\n\r\n", "HTTP/1.1 304",
		"ETag: \"1a\"\r\n" },
	{ NULL, "HEAD /app.js HTTP/1.1\r\n" HOST "If-None-Match: W/\"1a\"\r\n\r\n", "HTTP/1.1 304",
		"Cache-Control: no-cache\r\n" },
	{ NULL, "GET /app-3QH2WXYZ.js HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
		"Cache-Control: max-age=31536000, immutable\r\n" },
	{ NULL, "POST /app.js HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 405",
		"Allow: GET, HEAD\r\n" },
	{ NULL, "GET /none HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404", "\"success\":false" },
	{ NULL, "POST /fixed HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 405",
		"Allow: GET, HEAD\r\n" },
	{ NULL, "GET /json HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 405", "Allow: POST\r\n" },
	{ NULL, "GET /fixed HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 403", "Host" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST HOST "\r\n", "HTTP/1.1 400",
		"more than one header Host" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "host: evil.example\r\n\r\n", "HTTP/1.1 400",
		"more than one header Host" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "X-Host: evil.example\r\n\r\n", "HTTP/1.1 200",
		"fixed" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n",
		"HTTP/1.1 403", "Origin" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "Origin: http://localhost\r\n\r\n", "HTTP/1.1 200",
		"fixed" },
	{ NULL, "GET /fixed HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html,*/*\r\n\r\n",
		"HTTP/1.1 403", "page is at <a href=\"http://127.0.0.1:" },
	{ NULL, "GET /api/none HTTP/1.1\r\n" HOST "Sec-Fetch-Site: cross-site\r\n\r\n",
		"HTTP/1.1 403", "Sec-Fetch-Site" },
	{ NULL, "GET /api/none HTTP/1.1\r\n" HOST "Sec-Fetch-Site: same-origin\r\n\r\n",
		"HTTP/1.1 404", "nothing at this path" },
	{ NULL, "GET /fixed HTTP/1.1\r\n" HOST "Sec-Fetch-Site: cross-site\r\n\r\n", "HTTP/1.1 200",
		"fixed" },
	{ NULL, "GET /late HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 202", "{\"late\":true}" },
	{ NULL, "GET /query HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
		"{\"word\":null,\"n\":3,\"color\":-1}" },
	{ NULL, "GET /query?n=10&color=blue&word=a%20b HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
		"{\"word\":\"a b\",\"n\":10,\"color\":1}" },
	{ NULL, "GET /query?word= HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
		"'word' in the query must not be empty" },
	{ NULL, "GET /query?color=green HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
		"'color' in the query must be one of red, blue" },
	{ NULL, "DELETE /items/a-1/ports/%38080 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
		"{\"id\":\"a-1\",\"port\":8080}" },
	{ NULL, "DELETE /items/a-1/ports/0 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
		"'port' in the path must be a number from 1 to 65535" },
	{ NULL, "DELETE /items/../ports/1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
		"'id' in the path must be letters" },
	{ NULL, "DELETE /items/%2E%2e/ports/1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
		"'id' in the path must be letters" },
	/* Neither a separator nor a letter of an id. */
	{ NULL, "DELETE /items/a%2Fports/1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404", "%2F" },
	{ NULL, "GET /%2ffixed HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404", "%2F" },
	{ NULL, "GET /query?word=a%2Fb HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "\"a/b\"" },
	{ NULL, "DELETE /items/a-1/ports/ HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404",
		"nothing at this path" },
	{ NULL, "DELETE /items/a-1/ports/1/ HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404",
		"nothing at this path" },
	{ NULL, "GET /items/a-1/ports/1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 405",
		"Allow: DELETE\r\n" },
	{ NULL, "DELETE /items/a%00/ports/1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
		"zero byte" },
	{ NULL, "GET /query?n=11 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "from 1 to 10" },
	{ NULL, "GET /query?word=a%00b HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "zero byte" },
	{ NULL, "GET /query?word=%00 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "zero byte" },
	{ NULL, "GET /query?word%00=a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "zero byte" },
	{ NULL, "GET /fixed%00x HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "zero byte" },
	{ NULL, "POST /json HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\n{\"a\\u0000\":1}",
		"HTTP/1.1 400", "not JSON" },
	{ "secret", "GET /fixed%00 HTTP/1.1\r\nHost: box\r\n\r\n", "HTTP/1.1 401", "token" },
	{ NULL, "POST /json HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n{\"a\":1}", "HTTP/1.1 200",
		"{\"a\":1}" },
	{ NULL, "POST /json HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 200", "{}" },
	{ NULL,
		"POST /json HTTP/1.1\r\n" HOST
		"Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
		"HTTP/1.1 200", "{\"a\":1}" },
	{ NULL, "POST /json HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n[]", "HTTP/1.1 400",
		"no JSON object" },
	{ NULL, "POST /json HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n{", "HTTP/1.1 400",
		"not JSON" },
	{ NULL, "POST /json HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n\xff", "HTTP/1.1 400",
		"not JSON" },
	{ "secret", "GET /fixed HTTP/1.1\r\nHost: box\r\n\r\n", "HTTP/1.1 401",
		"WWW-Authenticate: Bearer" },
	{ "secret", "GET /none HTTP/1.1\r\nHost: box\r\n\r\n", "HTTP/1.1 401", "token" },
	{ "secret", "GET /open HTTP/1.1\r\nHost: box\r\n\r\n", "HTTP/1.1 200", "fixed" },
	{ "secret", "GET /fixed HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer secret\r\n\r\n",
		"HTTP/1.1 200", "fixed" },
};

static void test_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f;
		/* The head is complete with the empty line; bodies come in the same segment. */
		char *text = talk_until(&f, cases[i].token, cases[i].request, 1, "\r\n\r\n");

		if (strncmp(text, cases[i].status, strlen(cases[i].status)) != 0 ||
			!strstr(text, cases[i].body))
			fail_msg("case %zu: %s", i, text);
		free(text);
	}
}

static void test_long_body(void **state)
{
	char request[sizeof("POST /json HTTP/1.1\r\n" HOST "Content-Length: 200\r\n\r\n") + 200];
	struct fixture f;
	char *text;
	int n = snprintf(request, sizeof(request), "%s",
		"POST /json HTTP/1.1\r\n" HOST "Content-Length: 200\r\n\r\n");

	memset(request + n, '{', 200);
	request[n + 200] = '\0';
	text = talk_until(&f, NULL, request, 1, "\r\n\r\n");
	assert_non_null(strstr(text, "HTTP/1.1 413"));
	assert_non_null(strstr(text, "longer than 100 bytes"));
	assert_int_equal(f.handled, 0);
	free(text);
}

/* Requests in one segment are all answered, though the epoll descriptor tells of them once. */
static void test_pipeline(void **state)
{
	struct fixture f;
	char *text = talk_until(&f, NULL,
		"GET /late HTTP/1.1\r\n" HOST "\r\n"
		"GET /fixed HTTP/1.1\r\n" HOST "\r\n"
		"GET /late HTTP/1.1\r\n" HOST "\r\n"
		"HEAD /fixed HTTP/1.1\r\n" HOST "\r\n",
		4, "\r\n\r\n");

	assert_int_equal(count_of(text, "HTTP/1.1 202"), 2);
	assert_int_equal(count_of(text, "HTTP/1.1 200"), 2);
	free(text);
}

/* A peer that sends a byte now and then held its connection for ever, and enough of them all. */
static void test_slow_requests(void **state)
{
	static const char *const beginnings[] = { "G", "GET /fixed HTTP/1.1\r\nX: ",
		/* Behind an answer, too. */
		"GET /fixed HTTP/1.1\r\n" HOST "\r\nG" };

	for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
		struct fixture f = { .requests = beginnings[i],
			.drips = true,
			.head_timeout_ms = 100,
			.idle_timeout_ms = 100,
			.until = "" };

		/* Returns when the server has closed. */
		free(talk(&f, NULL));
	}
}

/* An answer that takes longer is none of that; nor is the query of one request the next one's. */
static void test_patience_with_answers(void **state)
{
	struct fixture f = {
		.requests = "GET /fixed%00 HTTP/1.1\r\n" HOST "\r\n"
			    "GET /late HTTP/1.1\r\n" HOST "\r\n",
		.answers = 2,
		.until = "HTTP/1.1",
		.head_timeout_ms = 500,
		.late_ms = 1000,
	};
	char *text = talk(&f, NULL);

	assert_non_null(strstr(text, "HTTP/1.1 400"));
	assert_non_null(strstr(text, "HTTP/1.1 202"));
	free(text);
}

static void test_events(void **state)
{
	struct fixture f;
	char *text = talk_until(&f, NULL, "GET /events HTTP/1.1\r\n" HOST "\r\n", 2, "event:");

	assert_non_null(strstr(text, "text/event-stream"));
	assert_non_null(strstr(text, "event: hello\ndata: 1\n\n"));
	assert_non_null(strstr(text, "event: later\n"));
	free(text);
}

/* A body whose second half comes late: the events to others counted as turns in which nothing of it
 * came, and an upload beside an application that floods its log was cut within a second. */
static void test_body_beside_events(void **state)
{
	struct fixture f = {
		.requests = "POST /json HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n{\"a",
		.rest = "\":1}",
		.floods = true,
		.answers = 1,
		.until = "{\"a\":1}",
	};
	char *text = talk(&f, NULL);

	assert_non_null(strstr(text, "HTTP/1.1 200"));
	assert_int_equal(f.events, 2 * HTTP_TURNS_MAX);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_body),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_slow_requests),
		cmocka_unit_test(test_patience_with_answers),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_body_beside_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
