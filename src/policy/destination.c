/* SPDX-License-Identifier: MIT */
/*
 * The promise: a text is read here as the C library would read it, and nobody reads it again. A
 * colon makes it an IPv6 address, a last label that is a number makes it an IPv4 address, and all
 * the rest is a name. What would be none of them, or be read differently by different resolvers, is
 * refused.
 */
#include "policy/destination.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int destination_refuse(char ret_why[DESTINATION_WHY_MAX], const char *why)
{
	(void)snprintf(ret_why, DESTINATION_WHY_MAX, "%s", why);
	return -EINVAL;
}

int destination_parse(const char *host, uint16_t port, struct destination *ret_destination,
	char ret_why[DESTINATION_WHY_MAX])
{
	struct destination d = { .port = port };
	const char *why;

	if (port == 0)
		return destination_refuse(ret_why, "nobody can be reached at port 0");
	if (strchr(host, ':')) {
		if (strchr(host, '%'))
			return destination_refuse(
				ret_why, "an address with a zone (RFC 4007) can't be judged");
		if (ipaddr_parse(host, &d.addr) < 0)
			return destination_refuse(ret_why, "it is no IPv6 address");
		*ret_destination = d;
		return 0;
	}
	if (hostname_parse(host, strlen(host), d.name, &why) < 0)
		return destination_refuse(ret_why, why);
	if (hostname_is_numeric(d.name)) {
		if (ipaddr_parse_aton(d.name, &d.addr) < 0)
			return destination_refuse(
				ret_why, "it ends in a number, but is no IPv4 address");
		memset(d.name, 0, sizeof(d.name));
	}
	*ret_destination = d;
	return 0;
}

struct destination destination_of_addr(const struct ipaddr *addr, uint16_t port)
{
	return (struct destination){ .addr = *addr, .port = port };
}

const char *destination_format(const struct destination *d, char text[DESTINATION_TEXT_MAX])
{
	char addr[IPADDR_TEXT_MAX];

	(void)snprintf(text, DESTINATION_TEXT_MAX, "%s:%u",
		d->name[0] ? d->name : ipaddr_format(&d->addr, addr), d->port);
	return text;
}
