/* SPDX-License-Identifier: MIT */
/* `wasmrun tunnel start|stop|status`: the tunnel of a run. */
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/secret.h"
#include "cli/common_options.h"
#include "cli/running.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "net/host.h"
#include "tunnel/tunnel.h"

#define STATUS_ACCEPTED 202 /* the outcome is open */

enum action {
	ACTION_START,
	ACTION_STATUS,
	ACTION_STOP,
};

static const char *const actions[] = {
	[ACTION_START] = "start",
	[ACTION_STATUS] = "status",
	[ACTION_STOP] = "stop",
	NULL,
};

struct tunnel_values {
	struct running_values running;
	uint64_t action; /* enum action */
	uint64_t port, protocol;
	const char *server, *secret_file;
	struct secret secret;
};

static const struct option_def tunnel_options[] = {
	{ .name = "ACTION",
		.type = OPTION_CHOICE,
		.positional = true,
		.required = true,
		.choices = actions,
		.help = "What to do; 'start' waits for the outcome and prints the public address",
		.offset = offsetof(struct tunnel_values, action) },
	RUNNING_HELP,
	RUNNING_HTTP_PORT,
	RUNNING_JSON("Print the API's answer, a JSON object"),
	RUNNING_PATH,
	RUNNING_PID,
	{ .name = "port",
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.max = UINT16_MAX,
		.goes_with = OPTION_WITH(ACTION_START),
		.help = "public port to ask for; 0 is any",
		.offset = offsetof(struct tunnel_values, port) },
	{ .name = "protocol",
		.type = OPTION_CHOICE,
		.value_name = "PROTOCOL",
		.choices = tunnel_protocol_names,
		.goes_with = OPTION_WITH(ACTION_START),
		.help = "dialect to speak with the server, see bore-local(1)",
		.offset = offsetof(struct tunnel_values, protocol) },
	{ .name = "secret",
		.type = OPTION_SECRET,
		.value_name = "SECRET",
		.env = "WASMRUN_TUNNEL_SECRET",
		.goes_with = OPTION_WITH(ACTION_START),
		.help = "secret of the server",
		.offset = offsetof(struct tunnel_values, secret) },
	{ .name = "secret-file",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.goes_with = OPTION_WITH(ACTION_START),
		.help = "read that secret from a file (without its last newline)",
		.offset = offsetof(struct tunnel_values, secret_file) },
	{ .name = "server",
		.type = OPTION_TEXT,
		.value_name = "HOST[:PORT]",
		.env = "WASMRUN_TUNNEL_SERVER",
		.check = host_check,
		.form = HOST_RELAY,
		.goes_with = OPTION_WITH(ACTION_START),
		.help = "the bore server; default is what 'wasmrun os' was told, as "
			"for the other settings",
		.offset = offsetof(struct tunnel_values, server) },
};

const struct option_table tunnel_table = {
	.program = "wasmrun",
	.command = "tunnel",
	.summary = "Start, stop or show the tunnel of a running application",
	.defs = tunnel_options,
	.count = ARRAY_LEN(tunnel_options),
};

/* --- start --- */

static int cmd_tunnel_set_text(
	struct option_set *set, json_t *body, const char *key, const char *text, size_t len)
{
	json_t *value = json_stringn(text, len);

	if (value && json_object_set_new(body, key, value) == 0)
		return EXIT_CODE_OK;
	option_set_fail(set, "the %s is no UTF-8 text", key);
	return usage_error(set);
}

/* Only what was asked for: the rest is as 'wasmrun os' was told. */
static int cmd_tunnel_make_body(struct option_set *set, struct tunnel_values *v, json_t *body)
{
	int code = common_options_load_secret(set, "secret", v->secret_file, NULL, &v->secret);

	if (code == EXIT_CODE_OK && v->server)
		code = cmd_tunnel_set_text(set, body, "server", v->server, strlen(v->server));
	if (code == EXIT_CODE_OK && v->secret.set)
		code = cmd_tunnel_set_text(set, body, "secret", v->secret.text, v->secret.len);
	if (option_set_source(set, "port") != OPTION_UNSET)
		(void)json_object_set_new(body, "port", json_integer((json_int_t)v->port));
	if (option_set_source(set, "protocol") != OPTION_UNSET)
		(void)json_object_set_new(
			body, "protocol", json_string(tunnel_protocol_names[v->protocol]));
	return code;
}

static void cmd_tunnel_write_started(json_t *answer)
{
	json_t *url = json_object_get(answer, "public_url");

	if (!json_is_string(url))
		return;
	running_write_text(url);
	putchar('\n');
	fputs("anyone with this address can reach the application, and there is no TLS\n", stderr);
}

/* --- status, stop --- */

static void cmd_tunnel_write_text(const char *label, json_t *value)
{
	if (!json_is_string(value))
		return;
	printf("%-12s ", label);
	running_write_text(value);
	putchar('\n');
}

static void cmd_tunnel_write_pair(
	json_t *answer, const char *key, const char *first, const char *second)
{
	json_t *pair = json_object_get(answer, key);

	printf("%s:%*s %lld %s, %lld %s\n", key, 11 - (int)strlen(key), "",
		(long long)json_integer_value(json_object_get(pair, first)), first,
		(long long)json_integer_value(json_object_get(pair, second)), second);
}

static void cmd_tunnel_write_status(json_t *answer)
{
	json_t *status = json_object_get(answer, "status");
	bool live = running_tunnel_is(status, TUNNEL_CONNECTED);

	cmd_tunnel_write_text("status:", status);
	/* While it reconnects the API says what it had, which nobody can reach now. */
	cmd_tunnel_write_text(
		live ? "public:" : "was public:", json_object_get(answer, "public_url"));
	cmd_tunnel_write_text("server:", json_object_get(answer, "server"));
	cmd_tunnel_write_text("error:", json_object_get(answer, "error"));
	cmd_tunnel_write_pair(answer, "connections", "open", "total");
	cmd_tunnel_write_pair(answer, "bytes", "in", "out");
}

static void cmd_tunnel_write_stopped(json_t *answer)
{
	running_write_text(json_object_get(answer, "message"));
	putchar('\n');
}

/* --- the command --- */

static const struct {
	const char *method, *path;
	void (*write)(json_t *answer);
} calls[] = {
	[ACTION_START] = { "POST", "/api/tunnel/start", cmd_tunnel_write_started },
	[ACTION_STATUS] = { "GET", "/api/tunnel/status", cmd_tunnel_write_status },
	[ACTION_STOP] = { "POST", "/api/tunnel/stop", cmd_tunnel_write_stopped },
};

static int cmd_tunnel_call(struct running *running, const struct tunnel_values *v, json_t *body)
{
	const struct api_request request = { calls[v->action].method, calls[v->action].path, body };
	json_auto_t *answer = NULL;
	long status = 0;
	int code = api_client_ask(&running->client, &request, &status, &answer);

	if (v->running.json && answer)
		running_write_json(answer);
	else if (code == EXIT_CODE_OK)
		calls[v->action].write(answer);
	if (code == EXIT_CODE_OK && status == STATUS_ACCEPTED) {
		terminal_error("the tunnel is not connected yet, it goes on trying: see 'wasmrun "
			       "tunnel status'");
		code = EXIT_CODE_FAILED;
	}
	return code;
}

static int cmd_tunnel_run(struct option_set *set, struct tunnel_values *v)
{
	json_auto_t *body = NULL;
	struct running running = { 0 };
	int code = EXIT_CODE_OK;

	if (v->action == ACTION_START) {
		body = json_object();
		code = cmd_tunnel_make_body(set, v, body);
	}
	if (code != EXIT_CODE_OK)
		return code;
	code = running_open(&running, &v->running);
	if (code == EXIT_CODE_OK)
		code = cmd_tunnel_call(&running, v, body);
	running_close(&running);
	return code;
}

int cmd_tunnel(const struct program *program, int argc, char **argv)
{
	struct tunnel_values values = { 0 };
	struct option_set set;
	int code;

	if (usage_parse(&set, &tunnel_table, &values, argc, argv, &code))
		code = cmd_tunnel_run(&set, &values);
	option_values_clear(&tunnel_table, &values);
	return code;
}
