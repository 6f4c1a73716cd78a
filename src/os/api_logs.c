/* SPDX-License-Identifier: MIT */
/* The ring of lines. */
#include "base/lang.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "os/api_internal.h"
#include "os/log_ring.h"

json_t *api_log_line_json(const struct log_line *line)
{
	return json_pack("{s:I, s:I, s:s, s:o}", "seq", (json_int_t)line->seq, "time",
		(json_int_t)line->time_ms, "stream", log_stream_name(line->stream), "text",
		json_text(line->text, line->len));
}

/* The lines from `seq` on, at most `limit`, of one stream or (-1) of all; *ret_next is the number
 * to go on from. */
static json_t *logs_collect(
	const struct log_ring *ring, uint64_t seq, int stream, uint64_t limit, uint64_t *ret_next)
{
	json_t *lines = json_array();
	struct log_line line;

	for (; seq < log_ring_next(ring) && json_array_size(lines) < limit; seq++) {
		if (!log_ring_get(ring, seq, &line))
			continue;
		if (stream < 0 || (int)line.stream == stream)
			(void)json_array_append_new(lines, api_log_line_json(&line));
	}
	*ret_next = seq;
	return lines;
}

void api_get_logs(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const struct log_ring *ring = api->config.ring;
	uint64_t since = http_request_number(request, "since");
	uint64_t first = log_ring_first(ring), next;
	json_t *lines = logs_collect(ring, max_u64(since + 1, first),
		http_request_word(request, "stream"), http_request_number(request, "limit"), &next);

	http_reply_json(request, 200,
		json_pack("{s:b, s:o, s:I, s:b, s:b}", "success", 1, "lines", lines, "last",
			(json_int_t)(next - 1), "more", next < log_ring_next(ring), "lost",
			since + 1 < first));
}
