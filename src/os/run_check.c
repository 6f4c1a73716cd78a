/* SPDX-License-Identifier: MIT */
#include "os/run_check.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "conf/option.h"
#include "policy/net_rule.h"
#include "serve/field.h"

static_assert(NET_RULE_WHY_MAX <= OPTION_WHY_MAX, "an option says why a rule is none");

static int run_check_result(const char *refusal, char *ret_why)
{
	if (!refusal)
		return 0;
	(void)snprintf(ret_why, OPTION_WHY_MAX, "%s", refusal);
	return -EINVAL;
}

int run_check_variable(int form, const char *text, char *ret_why)
{
	bool good = *text != '=' && strchr(text, '=');

	return run_check_result(good ? NULL : "it is no NAME=VALUE", ret_why);
}

int run_check_folder(int form, const char *text, char *ret_why)
{
	const char *middle = strstr(text, "::");
	bool good = middle && middle != text && middle[2];

	return run_check_result(good ? NULL : "it is no HOST::GUEST", ret_why);
}

int run_check_fallback(int form, const char *text, char *ret_why)
{
	bool good = *text != '/' && strlen(text) < PATH_MAX - 1;

	return run_check_result(good ? NULL : "it is no path in the folder of files", ret_why);
}

int run_check_field(int form, const char *text, char *ret_why)
{
	return run_check_result(field_refusal(text), ret_why);
}

int run_check_rule(int form, const char *text, char *ret_why)
{
	struct net_rule rule;

	return net_rule_parse(text, &rule, ret_why);
}

int run_check_port(int form, const char *text, char *ret_why)
{
	uint16_t port;
	bool good = parse_u16(text, strlen(text), &port) == 0 && port > 0;

	return run_check_result(
		good ? NULL : "it is no port from 1 to 65535 (of a range, write each)", ret_why);
}
