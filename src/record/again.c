/* SPDX-License-Identifier: MIT */
/*
 * What a visitor has sent is sent again byte by byte, however strange: it came through once. What
 * is edited has to be well formed, so that one field never becomes two, nor one request.
 */
#include "record/again.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/lang.h"

const char *again_refusal(const struct exchange *e, const struct again_edit *edit)
{
	const struct http_message *m = &e->request;

	if (e->state == EXCHANGE_FOREIGN)
		return "it is no request of HTTP/1";
	if (e->state == EXCHANGE_UPGRADED)
		return "it has made something else than HTTP of its connection";
	if (e->state < EXCHANGE_DONE)
		return "it is still under way";
	if (edit->body.data)
		return NULL;
	if (!m->whole)
		return "its end was not recorded";
	if (buf_len(&m->body) < m->body_len)
		return m->body_missing ? "a part of its body was not recorded"
				       : "of its body only the first 64 KiB are kept";
	return NULL;
}

/* --- fields --- */

static bool text_is(struct again_text text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

/* Of what all fields Connection name. Each of 10,000 others is looked up in it: 60 KiB would hold
 * up the loop for seconds. */
#define CONNECTION_MAX 512

/* What the connection's fields are, as one list (RFC 9110, 5.3). Returns its length. */
static size_t connection_list(const struct buf *head, char ret_list[CONNECTION_MAX])
{
	size_t pos = 0, len, n, at = 0;
	const char *value;

	while (at < CONNECTION_MAX &&
		(value = http_head_next_field(head, &pos, "Connection", &len))) {
		n = (size_t)min_u64(len, CONNECTION_MAX - at);
		memcpy(ret_list + at, value, n);
		at += n;
		if (at < CONNECTION_MAX)
			ret_list[at++] = ',';
	}
	return at;
}

/* Whether a comma-separated list has that word. */
static bool list_has(const char *list, size_t len, struct again_text word)
{
	static const char blanks[] = " \t\r";

	while (len > 0) {
		const char *comma = memchr(list, ',', len);
		size_t n = comma ? (size_t)(comma - list) : len, from = 0, to = n;

		while (from < to && strchr(blanks, list[from]))
			from++;
		while (to > from && strchr(blanks, list[to - 1]))
			to--;
		if (to - from == word.len && strncasecmp(list + from, word.data, word.len) == 0)
			return true;
		n += comma != NULL;
		list += n;
		len -= n;
	}
	return false;
}

/* Whether a field of that name was the connection's, or is made anew. */
static bool is_left_out(struct again_text name, const char *connection, size_t connection_len)
{
	static const char *const names[] = { "Connection", "Content-Length", "Expect", "Keep-Alive",
		"Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", AGAIN_MARK };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_is(name, names[i]))
			return true;
	return list_has(connection, connection_len, name);
}

static int put(struct buf *out, const char *text, size_t len)
{
	return buf_append(out, text, len);
}

/* The lines as they came; a line that begins with a blank belongs to the one before. */
static int put_recorded(struct buf *out, const struct buf *head)
{
	const char *text = (const char *)buf_head(head), *end = text + buf_len(head), *newline;
	char connection[CONNECTION_MAX];
	size_t connection_len = connection_list(head, connection);
	bool left_out = true; /* the start line */
	int r = 0;

	for (const char *line = text; line < end && r == 0; line = newline + 1) {
		const char *colon;

		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline || line == newline || (*line == '\r' && newline == line + 1))
			break;
		colon = memchr(line, ':', (size_t)(newline - line));
		if (line != text && *line != ' ' && *line != '\t')
			left_out = is_left_out((struct again_text){ line,
						       (size_t)((colon ? colon : newline) - line) },
				connection, connection_len);
		if (!left_out)
			r = put(out, line, (size_t)(newline + 1 - line));
	}
	return r;
}

static int put_edited(struct buf *out, const struct again_edit *edit)
{
	int r = 0;

	for (size_t i = 0; i < edit->header_count && r == 0; i++) {
		const struct again_header *h = &edit->headers[i];

		if (is_left_out(h->name, NULL, 0))
			continue;
		r = put(out, h->name.data, h->name.len);
		if (r == 0)
			r = put(out, ": ", 2);
		if (r == 0)
			r = put(out, h->value.data, h->value.len);
		if (r == 0)
			r = put(out, "\r\n", 2);
	}
	return r;
}

/* --- what is wrong with an edit --- */

static bool is_token(struct again_text text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return text.len > 0;
}

/* No control character: nothing ends a line. */
static bool is_line(struct again_text text, const char *also_not)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f || strchr(also_not, c))
			return false;
	}
	return true;
}

static const char *edit_fault(const struct again_edit *edit)
{
	if (edit->method.data && !is_token(edit->method))
		return "the method must be one word";
	if (edit->target.data && (!edit->target.len || !is_line(edit->target, " \t")))
		return "the target must be one word";
	if (edit->body.data && edit->body.len > HTTP_BODY_KEPT)
		return "the body may have 64 KiB at most: more is not kept";
	for (size_t i = 0; i < edit->header_count; i++) {
		if (!is_token(edit->headers[i].name))
			return "a header's name must be one word without a colon";
		if (!is_line(edit->headers[i].value, ""))
			return "a header's value must be one line without control characters";
	}
	return NULL;
}

/* --- the whole --- */

/* "GET /path HTTP/1.1": what is between the method and the version, blanks and all, is the target.
 */
static int put_line(struct buf *out, const struct buf *head, const struct again_edit *edit)
{
	size_t len, method_len, version_len = strlen("HTTP/1.1");
	const char *line = http_head_line(head, &len);
	const char *blank = memchr(line, ' ', len);
	struct again_text method = edit->method, target = edit->target;
	int r;

	method_len = blank ? (size_t)(blank - line) : 0;
	if (!method.data)
		method = (struct again_text){ line, method_len };
	if (!target.data)
		target = (struct again_text){ line + method_len + 1,
			len - method_len - version_len - 2 };
	r = put(out, method.data, method.len);
	if (r == 0)
		r = put(out, " ", 1);
	if (r == 0)
		r = put(out, target.data, target.len);
	if (r == 0)
		r = put(out, " ", 1);
	if (r == 0)
		r = put(out, line + len - version_len, version_len);
	return r < 0 ? r : put(out, "\r\n", 2);
}

/* A request without a body had perhaps no length either; then it has none again. */
static int put_frame(struct buf *out, const struct exchange *e, size_t body_len)
{
	char text[128];
	size_t len;
	bool counted = body_len > 0 || e->request.chunked ||
		       http_head_field(&e->request.head, "Content-Length", &len);
	int n = counted ? snprintf(text, sizeof(text), "Content-Length: %zu\r\n", body_len) : 0;

	n += snprintf(text + n, sizeof(text) - (size_t)n,
		"Connection: close\r\n" AGAIN_MARK ": 1\r\n\r\n");
	return put(out, text, (size_t)n);
}

const char *again_write(
	const struct exchange *e, const struct again_edit *edit, struct buf *ret_request)
{
	const struct buf *body = &e->request.body;
	struct again_text sent = edit->body;
	const char *fault = edit_fault(edit);
	int r;

	if (fault)
		return fault;
	if (!sent.data)
		sent = (struct again_text){ (const char *)buf_head(body), buf_len(body) };
	r = put_line(ret_request, &e->request.head, edit);
	if (r == 0)
		r = edit->headers ? put_edited(ret_request, edit)
				  : put_recorded(ret_request, &e->request.head);
	if (r == 0)
		r = put_frame(ret_request, e, sent.len);
	if (r < 0 || buf_len(ret_request) > HTTP_HEAD_MAX)
		return "the head may have 64 KiB at most";
	return sent.len && put(ret_request, sent.data, sent.len) < 0 ? "out of memory" : NULL;
}
