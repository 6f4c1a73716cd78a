/* SPDX-License-Identifier: MIT */
#include "os/run_check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "conf/option.h"
#include "serve/field.h"

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
