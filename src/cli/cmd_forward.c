/* SPDX-License-Identifier: MIT */
/* `wasmrun forward add|list|remove`: the forwards of a run. */
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/parse.h"
#include "cli/running.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "os/forward_spec.h"

enum action {
	ACTION_ADD,
	ACTION_LIST,
	ACTION_REMOVE,
};

static const char *const actions[] = {
	[ACTION_ADD] = "add",
	[ACTION_LIST] = "list",
	[ACTION_REMOVE] = "remove",
	NULL,
};

struct forward_values {
	struct running_values running;
	uint64_t action; /* enum action */
	const char *forward;
};

static const struct option_def forward_options[] = {
	{ .name = "ACTION",
		.type = OPTION_CHOICE,
		.positional = true,
		.required = true,
		.choices = actions,
		.help = "What to do; 'add' forwards a port until it is removed or 'wasmrun os' "
			"ends",
		.offset = offsetof(struct forward_values, action) },
	{ .name = "FORWARD",
		.type = OPTION_TEXT,
		.positional = true,
		.goes_with = OPTION_WITH(ACTION_ADD) | OPTION_WITH(ACTION_REMOVE),
		.help = "[ADDR:]HOST_PORT[:APP_PORT] as for 'wasmrun os --forward' to add one, "
			"HOST_PORT to remove one",
		.offset = offsetof(struct forward_values, forward) },
	RUNNING_HELP,
	RUNNING_HTTP_PORT,
	RUNNING_JSON("Print the API's answer, a JSON object"),
	RUNNING_PATH,
	RUNNING_PID,
};

const struct option_table forward_table = {
	.program = "wasmrun",
	.command = "forward",
	.summary = "Add, list or remove ports of this machine that lead to a running application",
	.defs = forward_options,
	.count = ARRAY_LEN(forward_options),
};

/* --- what is asked --- */

#define FORWARD_PATH_MAX sizeof("/api/forwards/65535")

struct forward_ask {
	struct api_request request;
	char path[FORWARD_PATH_MAX];
	bool loopback; /* added, and nobody else reaches it */
};

/* Each fills *ask; an enum exit_code, where not OK: why has been said. */
static int cmd_forward_ask_add(
	struct option_set *set, const struct forward_values *v, struct forward_ask *ask)
{
	struct forward_spec spec;
	char address[ADDR_TEXT_MAX], why[HOST_WHY_MAX];

	if (forward_spec_parse(v->forward, &spec, why) < 0) {
		option_set_refuse_given(set, "FORWARD", v->forward, why);
		return usage_error(set);
	}
	ask->loopback = addr_is_loopback(&spec.addr);
	ask->request.body = json_pack("{s:s, s:i, s:o}", "address",
		addr_format_ip(&spec.addr, address), "host_port", (int)addr_port(&spec.addr),
		"app_port", spec.app_port ? json_integer(spec.app_port) : json_null());
	return EXIT_CODE_OK;
}

static int cmd_forward_ask_remove(
	struct option_set *set, const struct forward_values *v, struct forward_ask *ask)
{
	uint16_t port;

	if (parse_u16(v->forward, strlen(v->forward), &port) < 0 || port == 0) {
		option_set_refuse_given(
			set, "FORWARD", v->forward, "it is no HOST_PORT from 1 to 65535");
		return usage_error(set);
	}
	(void)snprintf(ask->path, sizeof(ask->path), "/api/forwards/%u", port);
	ask->request.path = ask->path;
	return EXIT_CODE_OK;
}

/* --- what is answered --- */

static void cmd_forward_write_one(const json_t *forward)
{
	const char *address = json_string_value(json_object_get(forward, "address"));
	json_t *app_port = json_object_get(forward, "app_port");
	json_t *counts = json_object_get(forward, "connections");
	char from[HOST_TEXT_MAX];

	host_format(address ? address : "",
		(uint16_t)json_integer_value(json_object_get(forward, "host_port")), from);
	printf("%-28s", from);
	if (json_is_integer(app_port))
		printf("%-16lld", (long long)json_integer_value(app_port));
	else
		printf("%-16s", "as the tunnel");
	printf("%lld open, %lld total\n",
		(long long)json_integer_value(json_object_get(counts, "open")),
		(long long)json_integer_value(json_object_get(counts, "total")));
}

static void cmd_forward_write_list(const struct forward_ask *ask, const json_t *answer)
{
	json_t *forward;
	size_t i;

	printf("%-28s%-16s%s\n", "FROM", "TO PORT", "CONNECTIONS");
	json_array_foreach(json_object_get(answer, "forwards"), i, forward)
	{
		cmd_forward_write_one(forward);
	}
}

/* The address that it has got, which a script may want. */
static void cmd_forward_write_added(const struct forward_ask *ask, const json_t *answer)
{
	const json_t *forward = json_object_get(answer, "forward");
	const char *address = json_string_value(json_object_get(forward, "address"));
	char from[HOST_TEXT_MAX];

	host_format(address ? address : "",
		(uint16_t)json_integer_value(json_object_get(forward, "host_port")), from);
	printf("%s\n", from);
	if (!ask->loopback)
		fputs("anyone who can reach this machine there can reach the application, and "
		      "there is no TLS\n",
			stderr);
}

static void cmd_forward_write_removed(const struct forward_ask *ask, const json_t *answer)
{
	(void)running_write_text(json_object_get(answer, "message"));
	putchar('\n');
}

/* --- the command --- */

static const struct {
	const char *method, *path;
	int (*ask)(struct option_set *set, const struct forward_values *v, struct forward_ask *ask);
	void (*write)(const struct forward_ask *ask, const json_t *answer);
} calls[] = {
	[ACTION_ADD] = { "POST", "/api/forwards", cmd_forward_ask_add, cmd_forward_write_added },
	[ACTION_LIST] = { "GET", "/api/forwards", NULL, cmd_forward_write_list },
	[ACTION_REMOVE] = { "DELETE", NULL, cmd_forward_ask_remove, cmd_forward_write_removed },
};

static int cmd_forward_call(const struct forward_values *v, const struct forward_ask *ask)
{
	json_auto_t *answer = NULL;
	struct running running = { 0 };
	long status = 0;
	int code = running_open(&running, &v->running);

	if (code == EXIT_CODE_OK)
		code = api_client_ask(&running.client, &ask->request, &status, &answer);
	if (v->running.json && answer)
		running_write_json(answer);
	else if (code == EXIT_CODE_OK)
		calls[v->action].write(ask, answer);
	running_close(&running);
	return code;
}

static int cmd_forward_run(struct option_set *set, const struct forward_values *v)
{
	struct forward_ask ask = {
		.request = { calls[v->action].method, calls[v->action].path, NULL },
	};
	int code = EXIT_CODE_OK;

	if (calls[v->action].ask && !v->forward) {
		option_set_fail(set, "'%s' needs the <FORWARD> that is meant", actions[v->action]);
		return usage_error(set);
	}
	if (calls[v->action].ask)
		code = calls[v->action].ask(set, v, &ask);
	if (code == EXIT_CODE_OK)
		code = cmd_forward_call(v, &ask);
	json_decref(ask.request.body);
	return code;
}

int cmd_forward(const struct program *program, int argc, char **argv)
{
	struct forward_values values = { 0 };
	struct option_set set;
	int code;

	if (usage_parse(&set, &forward_table, &values, argc, argv, &code))
		code = cmd_forward_run(&set, &values);
	option_values_clear(&forward_table, &values);
	return code;
}
