/* SPDX-License-Identifier: MIT */
#include "os/forward_spec.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "conf/option.h"

#define FORWARD_ADDRESS "127.0.0.1" /* nobody else's business, unless somebody says so */

static_assert(HOST_WHY_MAX <= OPTION_WHY_MAX, "an option says why a forward is none");

#define spec_refuse(ret_why, ...) (snprintf(ret_why, HOST_WHY_MAX, __VA_ARGS__), -EINVAL)

int forward_spec_fill(const char *address, uint16_t host_port, uint16_t app_port,
	struct forward_spec *ret_spec, char ret_why[HOST_WHY_MAX])
{
	struct host host;
	int r;

	if (strcmp(address, "localhost") == 0)
		return spec_refuse(ret_why, "localhost is a name: write 127.0.0.1 or [::1]");
	r = host_parse(HOST_ADDRESS, address, &host, ret_why);
	if (r < 0)
		return r;
	*ret_spec = (struct forward_spec){ .addr = host.addr, .app_port = app_port };
	addr_set_port(&ret_spec->addr, host_port);
	return 0;
}

/* Cuts the address off the text, where it begins with one. */
static int spec_cut_address(
	const char **text, char ret_address[ADDR_HOST_MAX], char ret_why[HOST_WHY_MAX])
{
	const char *end;
	size_t len;

	(void)snprintf(ret_address, ADDR_HOST_MAX, FORWARD_ADDRESS);
	len = strspn(*text, "0123456789");
	if (len > 0 && ((*text)[len] == '\0' || (*text)[len] == ':'))
		return 0;
	end = **text == '[' ? strchr(*text, ']') : strchr(*text, ':');
	if (end && *end == ']')
		end++;
	if (!end || *end != ':')
		return spec_refuse(ret_why, "it is no [ADDR:]HOST_PORT[:APP_PORT]");
	len = (size_t)(end - *text);
	if (len == 0)
		return spec_refuse(ret_why, "an IPv6 address stands in brackets, as in [::1]:5000");
	if (len >= ADDR_HOST_MAX)
		return spec_refuse(ret_why, "its address is too long");
	(void)snprintf(ret_address, ADDR_HOST_MAX, "%.*s", (int)len, *text);
	*text = end + 1;
	return 0;
}

static int spec_parse_port(const char *text, size_t len, uint16_t min, const char *what,
	uint16_t *ret_port, char ret_why[HOST_WHY_MAX])
{
	uint64_t port;

	if (parse_u64(text, len, min, UINT16_MAX, &port) < 0)
		return spec_refuse(ret_why, "its %s is no number from %u to %u", what, min,
			(unsigned)UINT16_MAX);
	*ret_port = (uint16_t)port;
	return 0;
}

int forward_spec_parse(const char *text, struct forward_spec *ret_spec, char ret_why[HOST_WHY_MAX])
{
	char address[ADDR_HOST_MAX];
	uint16_t host_port = 0, app_port = 0;
	size_t len;
	int r = spec_cut_address(&text, address, ret_why);

	len = strcspn(text, ":");
	if (r == 0)
		r = spec_parse_port(text, len, 0, "HOST_PORT", &host_port, ret_why);
	if (r == 0 && text[len])
		r = spec_parse_port(
			text + len + 1, strlen(text + len + 1), 1, "APP_PORT", &app_port, ret_why);
	return r < 0 ? r : forward_spec_fill(address, host_port, app_port, ret_spec, ret_why);
}

int forward_spec_check(int form, const char *text, char *ret_why)
{
	struct forward_spec spec;

	return forward_spec_parse(text, &spec, ret_why);
}
