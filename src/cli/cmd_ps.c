/* SPDX-License-Identifier: MIT */
/* `wasmrun ps`: the instances of this user, each asked for its state. */
#include <stdio.h>

#include "base/err.h"
#include "cli/running.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"

#define UNKNOWN "-"

static const struct option_def ps_options[] = {
	RUNNING_HELP,
	RUNNING_JSON("Print a JSON array"),
};

const struct option_table ps_table = {
	.program = "wasmrun",
	.command = "ps",
	.summary = "List the running applications",
	.defs = ps_options,
	.count = ARRAY_LEN(ps_options),
};

/* NULL: it doesn't answer, which is shown and not an error. */
static json_t *ask(const struct run_entry *entry, const char *path)
{
	struct api_client client;
	json_t *answer = NULL;
	long status;

	if (api_client_open(&client, entry) == EXIT_CODE_OK) {
		client.quiet = true;
		(void)api_client_ask(
			&client, &(struct api_request){ "GET", path, NULL }, &status, &answer);
	}
	api_client_close(&client);
	return answer;
}

static json_t *member(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return value ? json_incref(value) : json_null();
}

static json_t *describe(const struct run_entry *entry)
{
	json_auto_t *app = ask(entry, "/api/app");
	json_auto_t *tunnel = ask(entry, "/api/tunnel/status");

	return json_pack("{s:I, s:s, s:o, s:s, s:o, s:o, s:o}", "pid", (json_int_t)entry->pid,
		"project", entry->project, "state", member(app, "state"), "page", entry->url, "url",
		member(app, "url"), "tunnel", member(tunnel, "status"), "public_url",
		member(tunnel, "public_url"));
}

static void write_column(json_t *instance, const char *key, int width)
{
	const char *text = json_string_value(json_object_get(instance, key));

	printf("%-*s  ", width, text ? text : UNKNOWN);
}

static void write_row(json_t *instance)
{
	json_t *project = json_object_get(instance, "project");

	printf("%-8lld", (long long)json_integer_value(json_object_get(instance, "pid")));
	write_column(instance, "state", 10);
	write_column(instance, "page", 22);
	write_column(instance, "public_url", 24);
	terminal_write(stdout, json_string_value(project), json_string_length(project));
	putchar('\n');
}

int cmd_ps(int argc, char **argv)
{
	json_auto_t *instances = json_array();
	struct running_values values = { 0 };
	struct run_list list;
	struct option_set set;
	json_t *instance;
	size_t i;
	int code;

	if (!usage_parse(&set, &ps_table, &values, argc, argv, &code))
		return code;
	code = running_list(&list);
	if (code != EXIT_CODE_OK)
		return code;
	for (i = 0; i < list.count; i++)
		(void)json_array_append_new(instances, describe(&list.entries[i]));
	run_list_deinit(&list);
	if (values.json) {
		running_write_json(instances);
		return EXIT_CODE_OK;
	}
	printf("%-8s%-10s  %-22s  %-24s  %s\n", "PID", "STATE", "PAGE", "PUBLIC", "PROJECT");
	json_array_foreach(instances, i, instance)
	{
		write_row(instance);
	}
	return EXIT_CODE_OK;
}
