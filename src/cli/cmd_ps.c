/* SPDX-License-Identifier: MIT */
/* `wasmrun ps`: the runs of this user (os/run_file.h), each asked for its state. */
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "cli/running.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "net/host.h"

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
static json_t *ps_ask(const struct run_entry *entry, const char *path)
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

static json_t *ps_member(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return value ? json_incref(value) : json_null();
}

/* An address that can be visited now: while it reconnects the API says what it had. */
static json_t *ps_public_url(json_t *tunnel)
{
	return running_tunnel_is(json_object_get(tunnel, "status"), TUNNEL_CONNECTED)
		       ? ps_member(tunnel, "public_url")
		       : json_null();
}

/* The addresses of its forwards. */
static json_t *ps_forwards(json_t *answer)
{
	json_t *list = json_array(), *forward;
	char text[HOST_TEXT_MAX];
	size_t i;

	json_array_foreach(json_object_get(answer, "forwards"), i, forward)
	{
		const char *address = json_string_value(json_object_get(forward, "address"));
		json_t *port = json_object_get(forward, "host_port");

		if (address)
			(void)json_array_append_new(
				list, json_string(host_format(
					      address, (uint16_t)json_integer_value(port), text)));
	}
	return list;
}

static json_t *ps_describe(const struct run_entry *entry)
{
	json_auto_t *app = ps_ask(entry, "/api/app");
	json_auto_t *tunnel = ps_ask(entry, "/api/tunnel/status");
	json_auto_t *forwards = ps_ask(entry, "/api/forwards");

	return json_pack("{s:I, s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "pid", (json_int_t)entry->pid,
		"project", entry->project, "state", ps_member(app, "state"), "page", entry->url,
		"url", ps_member(app, "url"), "tunnel", ps_member(tunnel, "status"), "public_url",
		ps_public_url(tunnel), "forwards", ps_forwards(forwards));
}

/* One value, or all that are in an array. */
static void ps_write_column(const json_t *value, int width)
{
	size_t columns = running_write_text(value), i;
	json_t *item;

	json_array_foreach(value, i, item)
	{
		columns += i > 0 ? (size_t)printf(",") : 0;
		columns += running_write_text(item);
	}
	if (!columns)
		columns = (size_t)printf("%s", UNKNOWN);
	printf("%*s", columns < (size_t)width ? width - (int)columns + 2 : 2, "");
}

/* The address, or why there is none. Nothing where nobody has asked for one. */
static json_t *ps_public_column(json_t *run)
{
	json_t *status = json_object_get(run, "tunnel");

	if (running_tunnel_is(status, TUNNEL_NOT_STARTED) ||
		running_tunnel_is(status, TUNNEL_DISCONNECTED))
		return NULL;
	return running_tunnel_is(status, TUNNEL_CONNECTED) ? json_object_get(run, "public_url")
							   : status;
}

static void ps_write_row(json_t *run)
{
	printf("%-8lld", (long long)json_integer_value(json_object_get(run, "pid")));
	ps_write_column(json_object_get(run, "state"), 10);
	ps_write_column(json_object_get(run, "url"), 22);
	ps_write_column(json_object_get(run, "page"), 22);
	ps_write_column(ps_public_column(run), 24);
	ps_write_column(json_object_get(run, "forwards"), 22);
	(void)running_write_text(json_object_get(run, "project"));
	putchar('\n');
}

int cmd_ps(const struct program *program, int argc, char **argv)
{
	json_auto_t *runs = json_array();
	struct running_values values = { 0 };
	struct run_list list;
	struct option_set set;
	json_t *run;
	size_t i;
	int code;

	if (!usage_parse(&set, &ps_table, &values, argc, argv, &code))
		return code;
	code = running_list(&list);
	if (code != EXIT_CODE_OK)
		return code;
	for (i = 0; i < list.count; i++)
		(void)json_array_append_new(runs, ps_describe(&list.entries[i]));
	run_list_deinit(&list);
	if (values.json) {
		running_write_json(runs);
		return EXIT_CODE_OK;
	}
	printf("%-8s%-10s  %-22s  %-22s  %-24s  %-22s  %s\n", "PID", "STATE", "APPLICATION", "PAGE",
		"PUBLIC", "FORWARDS", "PROJECT");
	json_array_foreach(runs, i, run)
	{
		ps_write_row(run);
	}
	return EXIT_CODE_OK;
}
