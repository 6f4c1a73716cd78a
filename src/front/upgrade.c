/* SPDX-License-Identifier: MIT */
/*
 * A request is taken only where no other program on its way can have read it in another way: one
 * method, one version, no body, no field that is no field. So nobody can hide a second request
 * behind one that a front takes for whole, and what follows the head is bore's alone.
 */
#include "front/upgrade.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

static const struct {
	const char *status, *text;
} refusals[] = {
	[UPGRADE_NOT_ASKED] = { "426 Upgrade Required",
		"This is the control port of a bore relay, and no web site: public addresses are "
		"its "
		"other ports.\nIf an HTTP front is in between, it must pass on the header "
		"'Upgrade', "
		"and 'Connection: Upgrade'." },
	[UPGRADE_OLD_HTTP] = { "426 Upgrade Required",
		"This is the control port of a bore relay. The request came as HTTP/1.0, which has "
		"no "
		"Upgrade: if a front sent it, let that speak HTTP/1.1 (nginx: proxy_http_version "
		"1.1)." },
	[UPGRADE_NOT_GET] = { "405 Method Not Allowed\r\nAllow: GET",
		"An upgrade to bore is asked for with GET." },
	[UPGRADE_HAS_BODY] = { "400 Bad Request", "An upgrade to bore has no body." },
	[UPGRADE_MALFORMED] = { "400 Bad Request", "This is no request of HTTP/1.1." },
	[UPGRADE_TOO_LONG] = { "431 Request Header Fields Too Large",
		"The head of a request may have " TEXT_OF(UPGRADE_HEAD_MAX) " bytes here." },
	[UPGRADE_FORWARDED] = { "400 Bad Request",
		"The front says in two ways who the client is, or in none that is an address: let "
		"it set "
		"X-Forwarded-For or X-Real-IP, and remove the other." },
	[UPGRADE_PENALISED] = { "429 Too Many Requests",
		"Wrong secrets came from your address. Wait a while, and check the secret." },
};
static_assert(ARRAY_LEN(refusals) == UPGRADE_REFUSALS, "an answer for each refusal");

/* --- the relay's end --- */

/* How many bytes begin as a method does, at most to the blank behind it. */
static size_t upgrade_method_len(const uint8_t *data, size_t len)
{
	size_t n = 0;

	while (n < len && data[n] >= 'A' && data[n] <= 'Z')
		n++;
	return n;
}

/* Whether it may be a request, however little of it is there. "HELLO" is a word of the line
 * dialect. */
static bool upgrade_is_request(const uint8_t *data, size_t len)
{
	size_t method = upgrade_method_len(data, len);

	if (data[0] == 'H' && memcmp(data, "HEAD ", min_u64(len, strlen("HEAD "))) != 0)
		return false;
	return method && method < 16 && (method == len || data[method] == ' ');
}

/* "GET /path HTTP/1.1": its method, and the digit behind "HTTP/1."; false: it isn't such a line. */
static bool upgrade_split_line(const struct span *line, struct span *ret_method, char *ret_minor)
{
	static const char version[] = " HTTP/1.";
	const size_t tail = sizeof(version) - 1 + 1;
	const char *blank = memchr(line->at, ' ', line->len), *end = line->at + line->len - tail;

	if (!blank || line->len < tail || end <= blank + 1 || memcmp(end, version, tail - 1) != 0 ||
		memchr(blank + 1, ' ', (size_t)(end - blank - 1)) ||
		memchr(line->at, '\t', line->len))
		return false;
	*ret_method = (struct span){ line->at, (size_t)(blank - line->at) };
	*ret_minor = end[tail - 1];
	return *ret_minor == '0' || *ret_minor == '1';
}

static enum upgrade_refusal upgrade_judge(
	struct upgrade_request *request, const struct span *method, char minor)
{
	const struct head *head = &request->head;
	struct span value = { 0 };
	size_t lengths;

	if (minor == '0')
		return UPGRADE_OLD_HTTP;
	if (!head_lists(head, "Upgrade", UPGRADE_TOKEN, &request->token) ||
		!head_lists(head, "Connection", "upgrade", NULL))
		return UPGRADE_NOT_ASKED;
	if (!span_is(method, "GET"))
		return UPGRADE_NOT_GET;
	lengths = head_field(head, "Content-Length", &value);
	if (lengths > 1 || (lengths && !span_is(&value, "0")) ||
		head_field(head, "Transfer-Encoding", &value))
		return UPGRADE_HAS_BODY;
	if (head_field(head, "Host", &value) != 1)
		return UPGRADE_MALFORMED;
	return UPGRADE_REFUSALS;
}

enum upgrade_request_result upgrade_read_request(
	const uint8_t *data, size_t len, struct upgrade_request *ret_request, size_t *ret_used)
{
	struct upgrade_request request = { .refusal = UPGRADE_MALFORMED };
	struct span method;
	enum head_result r;
	size_t used = 0;
	char minor = '0';

	if (!len || !upgrade_is_request(data, len))
		return UPGRADE_REQUEST_NONE;
	r = head_read(data, min_u64(len, UPGRADE_HEAD_MAX), &request.head, &used);
	if (request.head.line.at ? !upgrade_split_line(&request.head.line, &method, &minor)
				 : r == HEAD_BAD)
		return UPGRADE_REQUEST_NONE;
	if (r == HEAD_PARTIAL && len < UPGRADE_HEAD_MAX)
		return UPGRADE_REQUEST_PARTIAL;
	request.is_head = request.head.line.at && span_is(&method, "HEAD");
	if (r == HEAD_PARTIAL)
		request.refusal = UPGRADE_TOO_LONG;
	else if (r == HEAD_WHOLE)
		request.refusal = upgrade_judge(&request, &method, minor);
	*ret_request = request;
	*ret_used = used;
	return request.refusal == UPGRADE_REFUSALS ? UPGRADE_REQUEST_WANTED
						   : UPGRADE_REQUEST_REFUSED;
}

int upgrade_write_accept(const struct upgrade_request *request, struct buf *out)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %.*s\r\nConnection: Upgrade\r\n\r\n",
		(int)request->token.len, request->token.at);

	return buf_append(out, text, (size_t)n);
}

int upgrade_write_refusal(const struct upgrade_request *request, struct buf *out)
{
	const char *words = refusals[request->refusal].text;
	char text[UPGRADE_OUT_MAX];
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 %s\r\nUpgrade: " UPGRADE_TOKEN "\r\nConnection: close, Upgrade\r\n"
		"Cache-Control: no-store\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\n\r\n%s%s",
		refusals[request->refusal].status, strlen(words) + 1, request->is_head ? "" : words,
		request->is_head ? "" : "\n");

	assert(n > 0 && (size_t)n < sizeof(text));
	return buf_append(out, text, (size_t)n);
}

const char *upgrade_refusal_text(enum upgrade_refusal refusal)
{
	return refusals[refusal].status;
}

/* --- the client's end --- */

int upgrade_write_request(const char *host, const char *path, struct buf *out)
{
	char text[UPGRADE_OUT_MAX];
	int n = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: " UPGRADE_TOKEN
		"\r\nConnection: Upgrade\r\n"
		"User-Agent: bore\r\n\r\n",
		path, host);

	assert(n > 0 && (size_t)n < sizeof(text));
	return buf_append(out, text, (size_t)n);
}

/* The three digits of "HTTP/1.1 101 …"; 0: it is no such line. */
static unsigned upgrade_status(const struct span *line)
{
	static const char form[] = "HTTP/1.";
	const char *digits = line->at + sizeof("HTTP/1.1 ") - 1;

	if (line->len < sizeof("HTTP/1.1 101") - 1 ||
		memcmp(line->at, form, sizeof(form) - 1) != 0 || digits[-1] != ' ')
		return 0;
	if (line->len > sizeof("HTTP/1.1 101") - 1 && digits[3] != ' ')
		return 0;
	for (int i = 0; i < 3; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return 0;
	}
	return (unsigned)(digits[0] - '0') * 100 + (unsigned)(digits[1] - '0') * 10 +
	       (unsigned)(digits[2] - '0');
}

enum upgrade_answer_result upgrade_read_answer(
	const uint8_t *data, size_t len, struct upgrade_answer *ret_answer, size_t *ret_used)
{
	static const char form[] = "HTTP/1.";
	struct upgrade_answer answer = { 0 };
	size_t at = 0, used = 0;
	enum head_result r;
	struct head head;

	if (memcmp(data, form, min_u64(len, sizeof(form) - 1)) != 0)
		return UPGRADE_ANSWER_NO_HTTP;
	/* Interim answers come before the one that counts (RFC 9110, 15.2). */
	do {
		r = head_read(data + at, len - at, &head, &used);
		if (r == HEAD_PARTIAL && len < UPGRADE_HEAD_MAX)
			return UPGRADE_ANSWER_PARTIAL;
		if (head.line.at)
			answer.status = upgrade_status(&head.line);
		if (answer.status < 100)
			return UPGRADE_ANSWER_NO_HTTP;
		/* Too long, or with a field that is none: what its first line says is said. */
		if (r != HEAD_WHOLE) {
			*ret_answer = answer;
			*ret_used = at;
			return UPGRADE_ANSWER_OTHER;
		}
		at += used;
	} while (answer.status < 200 && answer.status != 101);
	(void)head_field(&head, "Location", &answer.location);
	(void)head_field(&head, "Server", &answer.server);
	*ret_answer = answer;
	*ret_used = at;
	return answer.status == 101 && head_lists(&head, "Upgrade", UPGRADE_TOKEN, NULL)
		       ? UPGRADE_ANSWER_ACCEPTED
		       : UPGRADE_ANSWER_OTHER;
}
