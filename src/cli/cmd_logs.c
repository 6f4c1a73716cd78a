/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun logs`: what a running application and its build have said. Every question asks for the
 * lines behind the last one that was seen, so none is missed and none comes twice. To follow is to
 * ask again whenever an event has come, whichever it is.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/lang.h"
#include "cli/running.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "os/log_ring.h"

#define REQUEST_MAX 96 /* of its path */

struct logs_values {
	struct running_values running;
	uint64_t stream;
	bool follow;
};

static const struct option_def logs_options[] = {
	{ .name = "follow",
		.letter = 'f',
		.type = OPTION_FLAG,
		.help = "Go on with new lines, until the application's 'wasmrun os' ends",
		.offset = offsetof(struct logs_values, follow) },
	RUNNING_HELP,
	RUNNING_HTTP_PORT,
	RUNNING_JSON("Print a JSON object per line of the log"),
	RUNNING_PATH,
	RUNNING_PID,
	{ .name = "stream",
		.type = OPTION_CHOICE,
		.value_name = "STREAM",
		.choices = log_stream_names,
		.help = "Lines of this stream only",
		.offset = offsetof(struct logs_values, stream) },
};

const struct option_table logs_table = {
	.program = "wasmrun",
	.command = "logs",
	.summary = "Print what a running application has said",
	.defs = logs_options,
	.count = ARRAY_LEN(logs_options),
};

struct logs {
	struct running running;
	struct api_client events; /* a second one, which hears of events while the first one asks */
	const char *stream;       /* NULL: all */
	bool json;
	int64_t last; /* number of the last line that was seen */
	int code;     /* enum exit_code */
};

static void logs_write_line(const struct logs *logs, json_t *line)
{
	json_t *text = json_object_get(line, "text");

	if (logs->json) {
		running_write_json(line);
		return;
	}
	running_write_text(json_object_get(line, "stream"));
	fputs(" | ", stdout);
	if (text)
		terminal_write_line(stdout, json_string_value(text), json_string_length(text));
	putchar('\n');
}

/* One answer; *ret_more when there is another one to be had. */
static int logs_read_some(struct logs *logs, bool *ret_more)
{
	json_auto_t *answer = NULL;
	char path[REQUEST_MAX];
	json_t *line;
	size_t i;
	long status;
	int code;

	(void)snprintf(path, sizeof path, "/api/logs?since=%" PRId64 "%s%s", logs->last,
		logs->stream ? "&stream=" : "", logs->stream ? logs->stream : "");
	code = api_client_ask(&logs->running.client, &(struct api_request){ "GET", path, NULL },
		&status, &answer);
	if (code != EXIT_CODE_OK)
		return code;
	if (logs->last && json_is_true(json_object_get(answer, "lost")))
		fputs("wasmrun: lines were lost, they came faster than they were read\n", stderr);
	json_array_foreach(json_object_get(answer, "lines"), i, line)
	{
		logs_write_line(logs, line);
	}
	logs->last = json_integer_value(json_object_get(answer, "last"));
	*ret_more = json_is_true(json_object_get(answer, "more"));
	return EXIT_CODE_OK;
}

/* False: it failed, or nobody reads standard output any more. */
static bool logs_read(void *owner)
{
	struct logs *logs = owner;
	bool more = true;

	while (more && logs->code == EXIT_CODE_OK && !ferror(stdout))
		logs->code = logs_read_some(logs, &more);
	return logs->code == EXIT_CODE_OK && fflush(stdout) == 0 && !ferror(stdout);
}

static int logs_follow(struct logs *logs)
{
	const struct run_list *list = &logs->running.list;
	int code = api_client_open(&logs->events, &list->entries[logs->running.index]);

	/* A run that ends closes its server first: then the last question has no answer. */
	logs->running.client.quiet = true;
	if (code == EXIT_CODE_OK)
		code = api_client_follow(&logs->events, logs_read, logs);
	api_client_close(&logs->events);
	return code;
}

int cmd_logs(const struct program *program, int argc, char **argv)
{
	struct logs_values values = { 0 };
	struct logs logs = { 0 };
	struct option_set set;
	int code;

	if (!usage_parse(&set, &logs_table, &values, argc, argv, &code))
		return code;
	if (option_set_source(&set, "stream") != OPTION_UNSET)
		logs.stream = log_stream_names[values.stream];
	logs.json = values.running.json;
	code = running_open(&logs.running, &values.running);
	if (code == EXIT_CODE_OK && values.follow) {
		code = logs_follow(&logs);
	} else if (code == EXIT_CODE_OK) {
		(void)logs_read(&logs);
		code = logs.code;
	}
	running_close(&logs.running);
	return code;
}
