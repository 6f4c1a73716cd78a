/* SPDX-License-Identifier: MIT */
/*
 * A connection of anything, in pieces: what the recorder makes of it stays within its bounds, can
 * be told in JSON, and is one request, whole, where it is sent again. One direction read in pieces
 * is the same as read at once.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "fuzz.h"
#include "os/exchange_json.h"
#include "os/har.h"
#include "record/again.h"
#include "record/recorder.h"

/* What a reader of one direction has found. */
struct found {
	struct http_stream_events events;
	struct http_stream stream;
	struct http_message message;
	size_t begun, ended;
	uint64_t bytes; /* of bodies that have ended */
	enum http_body body;
};

static struct http_message *on_begun(void *owner)
{
	struct found *f = owner;

	http_message_deinit(&f->message);
	http_message_init(&f->message);
	f->begun++;
	return &f->message;
}

static enum http_body on_headed(void *owner, const struct buf *head)
{
	size_t len;

	(void)http_head_line(head, &len);
	assert(len <= buf_len(head) && buf_len(head) <= HTTP_HEAD_MAX);
	return ((struct found *)owner)->body;
}

static void on_ended(void *owner)
{
	struct found *f = owner;

	assert(f->message.whole && buf_len(&f->message.body) <= HTTP_BODY_KEPT);
	f->bytes += f->message.body_len;
	f->ended++;
}

static void found_init(struct found *f, bool responses)
{
	*f = (struct found){ .events = { on_begun, on_headed, on_ended, f } };
	http_message_init(&f->message);
	http_stream_init(&f->stream, &f->events, responses);
}

static void found_deinit(struct found *f)
{
	http_message_deinit(&f->message);
	http_stream_deinit(&f->stream);
}

static void read_in_pieces(const uint8_t *data, size_t size, bool responses)
{
	size_t piece = size ? data[0] % 17 + 1 : 1;
	struct found whole, pieces;

	found_init(&whole, responses);
	found_init(&pieces, responses);
	http_stream_read(&whole.stream, 0, data, size);
	for (size_t at = 0; at < size; at += piece)
		http_stream_read(
			&pieces.stream, at, data + at, size - at < piece ? size - at : piece);
	http_stream_end(&whole.stream, size);
	http_stream_end(&pieces.stream, size);
	assert(whole.begun == pieces.begun && whole.ended == pieces.ended);
	assert(whole.bytes == pieces.bytes && whole.stream.state == pieces.stream.state);
	assert(whole.stream.ended == pieces.stream.ended);
	found_deinit(&whole);
	found_deinit(&pieces);
}

/* Some bytes are left out. */
static void read_with_gaps(const uint8_t *data, size_t size, bool responses)
{
	struct found f;
	uint64_t offset = 0;

	found_init(&f, responses);
	for (size_t at = 1; at < size;) {
		size_t len = data[at - 1];

		len = len < size - at ? len : size - at;
		offset += data[at - 1] % 5;
		http_stream_read(&f.stream, offset, data + at, len);
		offset += len;
		at += len + 1;
		if (data[at - 1 < size ? at - 1 : 0] % 7 == 0) {
			http_stream_leave(&f.stream);
			f.message.whole = true; /* nobody tells it any more */
		}
	}
	found_deinit(&f);
}

static void send_again(const struct exchange *e)
{
	const struct again_edit as_it_was = { 0 };
	struct found f;
	struct buf request;

	if (again_refusal(e, &as_it_was))
		return;
	buf_init(&request, AGAIN_MAX);
	found_init(&f, false);
	if (!again_write(e, &as_it_was, &request)) {
		http_stream_read(&f.stream, 0, buf_head(&request), buf_len(&request));
		assert(f.begun == 1 && f.ended == 1);
		assert(f.stream.ended == buf_len(&request));
		assert(f.bytes == buf_len(&e->request.body));
	}
	found_deinit(&f);
	buf_deinit(&request);
}

static void check(void *owner, const struct exchange *e)
{
	json_t *one;
	char *entry;

	assert(e->state >= EXCHANGE_DONE && !e->conn && e->status < 1000);
	one = exchange_json(e);
	assert(one);
	json_decref(one);
	one = exchange_message_json(&e->request);
	assert(one);
	json_decref(one);
	assert(har_has(e) == (buf_len(&e->request.head) > 0));
	entry = har_has(e) ? har_entry(e, false) : NULL;
	assert(!har_has(e) || entry);
	free(entry);
	send_again(e);
	*(size_t *)owner += e->held;
}

static void changed(void *owner, const struct exchange *e)
{
}

/* Each piece begins with a byte: its side, and its length. */
static void record(const uint8_t *data, size_t size)
{
	static struct recorder *recorder;
	const struct record_origin origin = { .kind = "tunnel" };
	const struct recorder_config config = { .loop = uv_default_loop(), .changed = changed };
	uint64_t bytes[PUMP_SIDES] = { 0 };
	struct record_conn *conn;
	size_t held = 0;

	if (!recorder && recorder_new(&config, &recorder) < 0)
		abort();
	recorder_clear(recorder);
	recorder_set_on(recorder, true);
	conn = recorder_begin(recorder, &origin);
	for (size_t at = 1; conn && at < size;) {
		enum pump_side side = data[at - 1] & 1;
		size_t len = data[at - 1] >> 1;

		len = len < size - at ? len : size - at;
		record_conn_said(conn, side, data + at, len);
		bytes[side] += len;
		at += len + 1;
		if (len == 1 && data[at - 2] == 0xff)
			recorder_clear(recorder);
	}
	(void)record_conn_end(conn, bytes, NULL);
	recorder_each(recorder, check, &held);
	assert(held <= RECORDER_BYTES_MAX);
	uv_run(uv_default_loop(), UV_RUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int responses = 0; responses < 2; responses++) {
		read_in_pieces(data, size, responses);
		read_with_gaps(data, size, responses);
	}
	record(data, size);
	return 0;
}
