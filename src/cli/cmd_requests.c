/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun requests`: what visitors have asked, as recorded. To follow is to ask again whenever an
 * event has come; a request is told once, when it has got its answer or will get none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "cli/exchange_text.h"
#include "cli/running.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "record/recorder.h"

#define REQUEST_MAX 96 /* of its path */

static const char *const switch_words[] = { "off", "on", NULL };

struct requests_values {
	struct running_values running;
	uint64_t id, record; /* record: a number of switch_words */
	bool follow, har, secrets;
};

static const struct option_def requests_options[] = {
	{ .name = "ID",
		.type = OPTION_NUMBER,
		.positional = true,
		.min = 1,
		.max = INT64_MAX,
		.help = "Print this one with the heads and bodies of both sides; default is a list",
		.offset = offsetof(struct requests_values, id) },
	{ .name = "follow",
		.letter = 'f',
		.type = OPTION_FLAG,
		.help = "Go on with new ones, until the application's 'wasmrun os' ends",
		.offset = offsetof(struct requests_values, follow) },
	{ .name = "har",
		.type = OPTION_FLAG,
		.help = "Print all as an HTTP Archive",
		.offset = offsetof(struct requests_values, har) },
	RUNNING_HELP,
	RUNNING_HTTP_PORT,
	RUNNING_JSON("Print a JSON object per request, or the API's answer"),
	RUNNING_PATH,
	RUNNING_PID,
	{ .name = "record",
		.type = OPTION_CHOICE,
		.value_name = "SWITCH",
		.choices = switch_words,
		.help = "Record the requests of connections that begin from now on, or no more",
		.offset = offsetof(struct requests_values, record) },
	{ .name = "secrets",
		.type = OPTION_FLAG,
		.help = "Show the values of Authorization, Cookie and their like, too",
		.offset = offsetof(struct requests_values, secrets) },
};

const struct option_table requests_table = {
	.program = "wasmrun",
	.command = "requests",
	.summary = "Record what visitors ask a running application, and print it",
	.defs = requests_options,
	.count = ARRAY_LEN(requests_options),
};

struct requests {
	struct running running;
	struct api_client events; /* a second one, which hears of events while the first one asks */
	bool json, following;
	int64_t told[RECORDER_EXCHANGES_MAX]; /* ids, of those that were in the last answer */
	size_t told_count;
	int code; /* enum exit_code */
};

static int requests_ask(struct requests *rs, const char *method, const char *path, json_t *body,
	json_t **ret_answer)
{
	const struct api_request request = { method, path, body };
	long status;

	return api_client_ask(&rs->running.client, &request, &status, ret_answer);
}

static bool requests_have_told(const struct requests *rs, int64_t id)
{
	for (size_t i = 0; i < rs->told_count; i++)
		if (rs->told[i] == id)
			return true;
	return false;
}

static void requests_tell(struct requests *rs, json_t *list)
{
	int64_t told[RECORDER_EXCHANGES_MAX];
	size_t count = 0, i;
	json_t *summary;

	json_array_foreach(list, i, summary)
	{
		int64_t id = json_integer_value(json_object_get(summary, "id"));

		if (rs->following && !exchange_text_is_over(summary))
			continue;
		if (!requests_have_told(rs, id) && rs->json)
			running_write_json(summary);
		else if (!requests_have_told(rs, id))
			exchange_text_write_row(summary);
		if (count < ARRAY_LEN(told))
			told[count++] = id;
	}
	memcpy(rs->told, told, count * sizeof(*told));
	rs->told_count = count;
}

/* False: it failed, or nobody reads standard output any more. */
static bool requests_read(void *owner)
{
	struct requests *rs = owner;
	json_auto_t *answer = NULL;

	rs->code = requests_ask(rs, "GET", "/api/requests", NULL, &answer);
	if (rs->code != EXIT_CODE_OK)
		return false;
	requests_tell(rs, json_object_get(answer, "requests"));
	if (!json_is_true(json_object_get(answer, "recording")) && !rs->following)
		fputs("wasmrun: requests are not recorded, 'wasmrun requests --record on' begins\n",
			stderr);
	return fflush(stdout) == 0 && !ferror(stdout);
}

static int requests_follow(struct requests *rs)
{
	const struct run_list *list = &rs->running.list;
	int code = api_client_open(&rs->events, &list->entries[rs->running.index]);

	/* A run that ends closes its server first: then the last question has no answer. */
	rs->running.client.quiet = rs->following = true;
	if (code == EXIT_CODE_OK)
		code = api_client_follow(&rs->events, requests_read, rs);
	api_client_close(&rs->events);
	return code;
}

static int requests_list(struct requests *rs, bool follow)
{
	if (!rs->json)
		exchange_text_write_head();
	if (follow)
		return requests_follow(rs);
	(void)requests_read(rs);
	return rs->code;
}

static int requests_show(struct requests *rs, uint64_t id, bool secrets)
{
	json_auto_t *answer = NULL;
	char path[REQUEST_MAX];
	int code;

	(void)snprintf(path, sizeof path, "/api/requests/%" PRIu64, id);
	code = requests_ask(rs, "GET", path, NULL, &answer);
	if (rs->json && answer)
		running_write_json(answer);
	else if (code == EXIT_CODE_OK)
		exchange_text_write(answer, secrets);
	return code;
}

static int requests_write_har(struct requests *rs, bool secrets)
{
	json_auto_t *answer = NULL;
	int code = requests_ask(rs, "GET",
		secrets ? "/api/requests/har?secrets=1" : "/api/requests/har", NULL, &answer);

	if (answer)
		running_write_json(answer);
	return code;
}

static int requests_record(struct requests *rs, bool on)
{
	json_auto_t *body = json_pack("{s:b}", "recording", on), *answer = NULL;
	int code = requests_ask(rs, "POST", "/api/requests/record", body, &answer);

	if (rs->json && answer)
		running_write_json(answer);
	else if (code == EXIT_CODE_OK)
		puts(on ? "Requests of new connections are recorded"
			: "Requests of new connections are not recorded");
	return code;
}

static int requests_run(struct option_set *set, const struct requests_values *v)
{
	bool records = option_set_source(set, "record") != OPTION_UNSET;
	struct requests rs = { .json = v->running.json };
	int code;

	if (records + v->follow + v->har + (v->id > 0) > 1) {
		option_set_fail(set,
			"only one of <ID>, --follow, --har and --record can be done at "
			"once");
		return usage_error(set);
	}
	code = running_open(&rs.running, &v->running);
	if (code != EXIT_CODE_OK)
		;
	else if (records)
		code = requests_record(&rs, v->record);
	else if (v->har)
		code = requests_write_har(&rs, v->secrets);
	else if (v->id)
		code = requests_show(&rs, v->id, v->secrets);
	else
		code = requests_list(&rs, v->follow);
	running_close(&rs.running);
	return code;
}

int cmd_requests(const struct program *program, int argc, char **argv)
{
	struct requests_values values = { 0 };
	struct option_set set;
	int code;

	if (!usage_parse(&set, &requests_table, &values, argc, argv, &code))
		return code;
	return requests_run(&set, &values);
}
