/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun policy check`: what an application might connect to, without one. The settings are read
 * as `wasmrun os` would, by its own table, and judged by what it judges with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/owner.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "net/host.h"
#include "os/network.h"
#include "os/network_settings.h"
#include "os/run_check.h"
#include "os/run_config.h"
#include "proto/handshake.h"

enum action {
	ACTION_CHECK,
};

static const char *const actions[] = {
	[ACTION_CHECK] = "check",
	NULL,
};

struct policy_values {
	uint64_t action; /* enum action */
	struct option_list allow, deny;
	const char *explain, *path;
};

static const struct option_def policy_options[] = {
	{ .name = "ACTION",
		.type = OPTION_CHOICE,
		.positional = true,
		.required = true,
		.choices = actions,
		.help = "What to do; 'check' reads the policy that 'wasmrun os' would have",
		.offset = offsetof(struct policy_values, action) },
	{ .name = "allow-net",
		.type = OPTION_LIST,
		.value_name = "RULE",
		.check = run_check_rule,
		.goes_with = OPTION_WITH(ACTION_CHECK),
		.help = "as for 'wasmrun os'; may be repeated",
		.offset = offsetof(struct policy_values, allow) },
	{ .name = "deny-net",
		.type = OPTION_LIST,
		.value_name = "RULE",
		.check = run_check_rule,
		.goes_with = OPTION_WITH(ACTION_CHECK),
		.help = "as for 'wasmrun os'; may be repeated",
		.offset = offsetof(struct policy_values, deny) },
	{ .name = "explain",
		.type = OPTION_TEXT,
		.value_name = "HOST:PORT",
		.check = host_check,
		.form = HOST_ENDPOINT,
		.goes_with = OPTION_WITH(ACTION_CHECK),
		.help = "say whether the application may connect there, and by which rule; nothing "
			"is resolved or connected",
		.offset = offsetof(struct policy_values, explain) },
	{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },
	{ .name = "path",
		.letter = 'p',
		.type = OPTION_FILE,
		.value_name = "PATH",
		.goes_with = OPTION_WITH(ACTION_CHECK),
		.help = "the application, as 'wasmrun os' is told; default is the current folder",
		.offset = offsetof(struct policy_values, path) },
};

const struct option_table policy_table = {
	.program = "wasmrun",
	.command = "policy",
	.summary = "Check what an application may connect to",
	.defs = policy_options,
	.count = ARRAY_LEN(policy_options),
};

/* --- the settings --- */

/* The words that `wasmrun os` would have been given. *ret_words is the caller's to free. */
static int cmd_policy_words(const struct policy_values *v, char ***ret_words)
{
	const struct {
		const char *option;
		const struct option_list *list;
	} lists[] = { { "--allow-net", &v->allow }, { "--deny-net", &v->deny } };
	char **words = calloc(3 + 2 * (v->allow.count + v->deny.count) + 1, sizeof(*words));
	int count = 0;

	if (!words)
		return 0;
	words[count++] = (char *)"os";
	words[count++] = (char *)"--path";
	words[count++] = (char *)(v->path ? v->path : ".");
	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		for (size_t i = 0; i < lists[l].list->count; i++) {
			words[count++] = (char *)lists[l].option;
			words[count++] = (char *)lists[l].list->items[i];
		}
	*ret_words = words;
	return count;
}

static void cmd_policy_protect(struct network *n, const struct os_run_config *config)
{
	struct host server = host_of(HOST_RELAY, config->tunnel_server);

	network_protect(n, NETWORK_PAGE, config->listen, (uint16_t)config->http_port);
	network_protect(n, NETWORK_GATE, OS_APP_HOST, (uint16_t)config->app.port);
	network_protect(n, NETWORK_RELAY, server.name, server.port ? server.port : CONTROL_PORT);
}

/* Out of memory: NULL. */
static struct network *cmd_policy_open(const struct os_run_config *config)
{
	struct network_limits limits;
	struct network *n = NULL;
	struct policy *p;

	if (network_settings_make(&config->network, config->file, &p, &limits) < 0 ||
		network_new(NULL, NULL, &n) < 0 || network_set(n, p, &limits) < 0)
		return NULL;
	cmd_policy_protect(n, config);
	return n;
}

static void cmd_policy_on_closed(void *owner)
{
}

static void cmd_policy_closep(struct network **n)
{
	if (*n)
		network_close(*n, cmd_policy_on_closed, NULL);
}

/* --- what is said of them --- */

static void cmd_policy_list(const struct policy *p)
{
	static const char *const words[] = { [POLICY_ALLOW] = "allow", [POLICY_DENY] = "deny" };
	const struct policy_rule *rule;

	for (enum policy_list list = 0; list < POLICY_LISTS; list++)
		for (size_t i = 0; (rule = policy_rule_at(p, list, i)); i++)
			printf("%-5s %s (%s)\n", words[list], rule->text, rule->where);
	if (!policy_rule_at(p, POLICY_ALLOW, 0))
		printf("the application may connect to nothing\n");
}

static int cmd_policy_explain(struct option_set *set, struct network *n, const char *text)
{
	const struct host host = host_of(HOST_ENDPOINT, text);
	char why[DESTINATION_WHY_MAX], asked[DESTINATION_TEXT_MAX];
	struct network_verdict v;
	struct destination d;
	int r = destination_parse(host.name, host.port, &d, why);

	if (r < 0) {
		option_set_refuse_given(
			set, "explain", text, host.port ? why : "a port is wanted, too: HOST:PORT");
		return usage_error(set);
	}
	(void)network_allows(n, &d, NULL, &v);
	printf("%s is %s: %s\n", destination_format(&d, asked), v.allowed ? "allowed" : "refused",
		v.why);
	if (v.allowed && d.name[0] && !hostname_is_localhost(d.name))
		printf("each of its addresses is judged as well, right before it is connected: one "
		       "that isn't public needs a rule of its own\n");
	return v.allowed ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static int cmd_policy_check(struct option_set *set, const struct policy_values *v)
{
	_cleanup_(cmd_policy_closep) struct network *n = NULL;
	struct os_run_config config = { 0 };
	struct option_set settings;
	char **words = NULL;
	int count = cmd_policy_words(v, &words);
	int code = EXIT_CODE_OK,
	    r = words ? os_run_config_read(&config, &settings, count, words) : 0;

	if (words && r != 0) {
		code = usage_error(&settings);
	} else if (words) {
		os_run_config_warn(&config, &settings);
		n = cmd_policy_open(&config);
	}
	if (code == EXIT_CODE_OK && !n) {
		terminal_error("out of memory");
		code = EXIT_CODE_FAILED;
	} else if (code == EXIT_CODE_OK && v->explain) {
		code = cmd_policy_explain(set, n, v->explain);
	} else if (code == EXIT_CODE_OK) {
		cmd_policy_list(network_policy(n));
	}
	os_run_config_deinit(&config);
	free(words);
	return code;
}

int cmd_policy(const struct program *program, int argc, char **argv)
{
	struct policy_values values = { 0 };
	struct option_set set;
	int code;

	if (usage_parse(&set, &policy_table, &values, argc, argv, &code))
		code = cmd_policy_check(&set, &values);
	option_values_clear(&policy_table, &values);
	return code;
}
