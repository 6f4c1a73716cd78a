/* SPDX-License-Identifier: MIT */
/* The application's process, its last build, and what was said at the end of either. */
#include <errno.h>
#include <string.h>

#include "base/guide.h"
#include "base/lang.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "os/api_internal.h"
#include "os/builder_last.h"
#include "os/log_ring.h"
#include "os/run_config.h"
#include "os/supervisor.h"

#define SAID_LINES_MAX 20 /* the last ones on stderr: a backtrace */
#define ERROR_LINES_MAX 8 /* of a compiler's first error */
#define SAID_LINE_MAX 512 /* bytes of each */

static json_t *app_number_or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static void app_append_line(json_t *lines, const struct log_line *line)
{
	size_t len = line->len < SAID_LINE_MAX ? line->len : SAID_LINE_MAX;

	(void)json_array_append_new(lines, json_text(line->text, len));
}

/* The last lines of stderr among those from `first` on and before `next`, as far as they are kept.
 */
static json_t *app_said_json(const struct log_ring *ring, uint64_t first, uint64_t next)
{
	json_t *lines = json_array();
	struct log_line line;
	uint64_t seq = next;
	unsigned found = 0;

	first = max_u64(first, log_ring_first(ring));
	while (seq > first && found < SAID_LINES_MAX)
		if (log_ring_get(ring, --seq, &line) && line.stream == LOG_STREAM_STDERR)
			found++;
	for (; found && seq < next; seq++)
		if (log_ring_get(ring, seq, &line) && line.stream == LOG_STREAM_STDERR)
			app_append_line(lines, &line);
	return lines;
}

/* As compilers say it: "main.c:3:5: error: ...", "error[E0425]: ...", "SyntaxError: ...",
 * "a.ts(3,5): error TS2304: ...". Not "-Werror: ", nor "0 errors". */
static bool app_is_error(const char *text)
{
	static const char *const words[] = { "error:", "error[", "error TS", "Error:", "ERROR:" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const char *at = strstr(text, words[i]);
		char before = at && at > text ? at[-1] : ' ';

		if (at && (words[i][0] == 'E' || !((before >= 'a' && before <= 'z') ||
							 (before >= 'A' && before <= 'Z'))))
			return true;
	}
	return false;
}

/* The first error of a failed build, up to a blank line; none that we know: the build's last words.
 */
static json_t *app_error_json(const struct log_ring *ring, const struct builder_last *build)
{
	json_t *lines = json_array();
	struct log_line line, last = { 0 };
	uint64_t seq = max_u64(build->first_line, log_ring_first(ring));

	for (; seq < build->next_line && json_array_size(lines) < ERROR_LINES_MAX; seq++) {
		bool begun = json_array_size(lines) > 0;

		if (!log_ring_get(ring, seq, &line) || line.stream != LOG_STREAM_BUILD)
			continue;
		if (begun && line.len == 0)
			break;
		if (begun || app_is_error(line.text))
			app_append_line(lines, &line);
		else if (line.len)
			last = line;
	}
	if (json_array_size(lines) == 0 && last.text)
		app_append_line(lines, &last);
	return lines;
}

static json_t *app_build_json(const struct log_ring *ring, const struct builder_last *build)
{
	bool failed = build->over && build->result < 0 && build->result != -ECANCELED;
	bool decided = build->over && build->result != -ECANCELED;

	if (!build->since_ms)
		return json_null();
	return json_pack("{s:I, s:o, s:o, s:o}", "time", (json_int_t)build->since_ms, "duration_ms",
		build->over ? json_integer((json_int_t)build->duration_ms) : json_null(), "ok",
		decided ? json_boolean(!failed) : json_null(), "error",
		failed ? app_error_json(ring, build) : json_array());
}

json_t *api_app_json(struct api *api)
{
	const struct log_ring *ring = api->config.ring;
	struct supervisor_status status;
	char guide[PATH_MAX];

	supervisor_status(api->config.supervisor, &status);
	return json_pack(
		"{s:b, s:s, s:s?, s:s?, s:o, s:o, s:s?, s:I, s:I, s:I, s:o, s:o, s:o, s:o, "
		"s:o, s:s?}",
		"success", 1, "state", supervisor_state_name(status.state), "next",
		supervisor_next_name(status.next), "kind", status.kind, "pid",
		app_number_or_null((uint64_t)status.pid), "port", app_number_or_null(status.port),
		"url", status.url, "memory_bytes", (json_int_t)status.memory_bytes, "cpu_ms",
		(json_int_t)status.cpu_ms, "restarts", (json_int_t)status.restarts, "exit_reason",
		json_text_or_null(status.exit_reason), "exit_output",
		app_said_json(ring, status.said_first, status.said_next), "build",
		app_build_json(ring, status.build), "since", app_number_or_null(status.since_ms),
		"project", json_text_or_null(api->config.run->project_path), "guide",
		guide_find("wasmrun", guide) == 0 ? guide : NULL);
}

void api_get_app(void *owner, struct http_request *request)
{
	http_reply_json(request, 200, api_app_json(owner));
}

void api_app_start(void *owner, struct http_request *request)
{
	struct api *api = owner;

	supervisor_start(api->config.supervisor);
	http_reply_json(request, 200, api_app_json(api));
}

void api_app_stop(void *owner, struct http_request *request)
{
	struct api *api = owner;

	supervisor_stop(api->config.supervisor);
	http_reply_json(request, 200, api_app_json(api));
}

void api_app_restart(void *owner, struct http_request *request)
{
	struct api *api = owner;

	supervisor_restart(api->config.supervisor);
	http_reply_json(request, 200, api_app_json(api));
}
