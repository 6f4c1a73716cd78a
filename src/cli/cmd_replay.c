/* SPDX-License-Identifier: MIT */
/* `wasmrun replay`: a recorded request, sent to the application once more. */
#include <inttypes.h>
#include <stdio.h>

#include "base/lang.h"
#include "cli/exchange_text.h"
#include "cli/running.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"

#define REQUEST_MAX 96 /* of its path */

struct replay_values {
	struct running_values running;
	uint64_t id;
	bool secrets;
};

static const struct option_def replay_options[] = {
	{ .name = "ID",
		.type = OPTION_NUMBER,
		.positional = true,
		.required = true,
		.min = 1,
		.max = INT64_MAX,
		.help = "The recorded request that is sent again, as 'wasmrun requests' lists it",
		.offset = offsetof(struct replay_values, id) },
	RUNNING_HELP,
	RUNNING_HTTP_PORT,
	RUNNING_JSON("Print the new request and its response as a JSON object"),
	RUNNING_PATH,
	RUNNING_PID,
	{ .name = "secrets",
		.type = OPTION_FLAG,
		.help = "Show the values of Authorization, Cookie and their like, too",
		.offset = offsetof(struct replay_values, secrets) },
};

const struct option_table replay_table = {
	.program = "wasmrun",
	.command = "replay",
	.summary = "Send a recorded request to a running application again",
	.defs = replay_options,
	.count = ARRAY_LEN(replay_options),
};

struct replaying {
	struct running running;
	struct api_client events;
	char path[REQUEST_MAX]; /* of the new exchange */
	json_t *exchange;       /* once it is over */
	int code;               /* enum exit_code */
};

/* False: it is over, or can't be asked for. */
static bool replaying_read(void *owner)
{
	struct replaying *r = owner;
	const struct api_request request = { "GET", r->path, NULL };
	json_t *answer;
	long status;

	r->code = api_client_ask(&r->running.client, &request, &status, &answer);
	if (r->code == EXIT_CODE_OK && exchange_text_is_over(json_object_get(answer, "summary")))
		r->exchange = answer;
	else
		json_decref(answer);
	return r->code == EXIT_CODE_OK && !r->exchange;
}

static int replaying_begin(struct replaying *r, uint64_t id)
{
	json_auto_t *answer = NULL;
	struct api_request request = { "POST", r->path, NULL };
	long status;
	int code;

	(void)snprintf(r->path, sizeof r->path, "/api/requests/%" PRIu64 "/replay", id);
	code = api_client_ask(&r->running.client, &request, &status, &answer);
	(void)snprintf(r->path, sizeof r->path, "/api/requests/%" PRId64,
		(int64_t)json_integer_value(json_object_get(answer, "id")));
	return code;
}

static int replaying_await(struct replaying *r)
{
	int code = api_client_open(&r->events, &r->running.list.entries[r->running.index]);

	if (code == EXIT_CODE_OK)
		code = api_client_follow(&r->events, replaying_read, r);
	api_client_close(&r->events);
	if (code == EXIT_CODE_OK)
		code = r->code;
	if (code == EXIT_CODE_OK && !r->exchange) {
		terminal_error("wasmrun has ended before the answer came");
		code = EXIT_CODE_FAILED;
	}
	return code;
}

/* An answer of whatever status is one. */
static int replaying_write(const struct replaying *r, const struct replay_values *v)
{
	const json_t *summary = json_object_get(r->exchange, "summary");

	if (v->running.json)
		running_write_json(r->exchange);
	else
		exchange_text_write(r->exchange, v->secrets);
	return json_is_integer(json_object_get(summary, "status")) ? EXIT_CODE_OK
								   : EXIT_CODE_FAILED;
}

int cmd_replay(const struct program *program, int argc, char **argv)
{
	struct replay_values values = { 0 };
	struct replaying r = { 0 };
	struct option_set set;
	int code;

	if (!usage_parse(&set, &replay_table, &values, argc, argv, &code))
		return code;
	code = running_open(&r.running, &values.running);
	if (code == EXIT_CODE_OK)
		code = replaying_begin(&r, values.id);
	if (code == EXIT_CODE_OK)
		code = replaying_await(&r);
	if (code == EXIT_CODE_OK)
		code = replaying_write(&r, &values);
	json_decref(r.exchange);
	running_close(&r.running);
	return code;
}
