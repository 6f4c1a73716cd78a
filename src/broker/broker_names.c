/* SPDX-License-Identifier: MIT */
#include "broker/broker_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/broker_client.h"

static const struct {
	const char *name;
	uint16_t port;
} names_services[] = {
	{ "domain", 53 },
	{ "ftp", 21 },
	{ "http", 80 },
	{ "https", 443 },
	{ "imap", 143 },
	{ "imaps", 993 },
	{ "ldap", 389 },
	{ "ldaps", 636 },
	{ "mysql", 3306 },
	{ "postgresql", 5432 },
	{ "redis", 6379 },
	{ "smtp", 25 },
	{ "ssh", 22 },
	{ "submission", 587 },
	{ "telnet", 23 },
};

static const struct broker_addr names_loopback[] = {
	{ BROKER_IPV4, { 127, 0, 0, 1 } },
	{ BROKER_IPV6, { [15] = 1 } },
};
static const struct broker_addr names_any[] = { { BROKER_IPV4, { 0 } }, { BROKER_IPV6, { 0 } } };

/* An entry and what it points to. */
struct names_entry {
	struct addrinfo info;
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} addr;
	char name[]; /* the canonical one, where it was asked for */
};

static int names_find_service(const char *service, int flags, uint16_t *ret_port)
{
	unsigned long number;
	char *end;

	*ret_port = 0;
	if (!service)
		return 0;
	number = strtoul(service, &end, 10);
	if (*service >= '0' && *service <= '9' && *end == '\0') {
		*ret_port = (uint16_t)number;
		return number > UINT16_MAX ? EAI_SERVICE : 0;
	}
	if (flags & AI_NUMERICSERV)
		return EAI_NONAME;
	for (size_t i = 0; i < sizeof names_services / sizeof names_services[0]; i++)
		if (strcmp(names_services[i].name, service) == 0) {
			*ret_port = names_services[i].port;
			return 0;
		}
	return EAI_SERVICE;
}

/* inet_aton(3) takes whatever follows a blank; its short, octal and hexadecimal forms are addresses
 * to getaddrinfo(3) as well. */
static bool names_read_addr(const char *node, struct broker_addr *ret_addr)
{
	struct in_addr in4;

	*ret_addr = (struct broker_addr){ .family = BROKER_IPV6 };
	if (inet_pton(AF_INET6, node, ret_addr->bytes) == 1)
		return true;
	if (node[strspn(node, "0123456789abcdefABCDEFxX.")] || !inet_aton(node, &in4))
		return false;
	*ret_addr = (struct broker_addr){ .family = BROKER_IPV4 };
	memcpy(ret_addr->bytes, &in4, sizeof in4);
	return true;
}

static bool names_is_localhost(const char *node)
{
	static const char name[] = "localhost";
	const size_t name_len = sizeof name - 1;
	size_t len = strlen(node);

	if (len > 0 && node[len - 1] == '.')
		len--;
	return len >= name_len && strncasecmp(node + len - name_len, name, name_len) == 0 &&
	       (len == name_len || node[len - name_len - 1] == '.');
}

/* How many addresses, of any family where the node tells them all; or an EAI_…, which is negative.
 */
static int names_resolve(const struct broker_client *c, const char *node,
	const struct addrinfo *hint, struct broker_addr ret_addrs[BROKER_ADDRS_MAX])
{
	enum broker_family family = hint->ai_family == AF_INET    ? BROKER_IPV4
				    : hint->ai_family == AF_INET6 ? BROKER_IPV6
								  : BROKER_ANY;
	bool any = !node && (hint->ai_flags & AI_PASSIVE);
	int r;

	_Static_assert(EAI_NONAME < 0, "so that a count is something else");
	if (!node || names_is_localhost(node)) {
		memcpy(ret_addrs, any ? names_any : names_loopback, sizeof names_any);
		return BROKER_ADDRS_MAX;
	}
	if (names_read_addr(node, &ret_addrs[0]))
		return 1;
	if (!*node || (hint->ai_flags & AI_NUMERICHOST))
		return EAI_NONAME;
	r = broker_client_resolve(c, node, family, ret_addrs);
	if (r > 0)
		return r;
	if (r == -ENOENT || r == -ENAMETOOLONG)
		return EAI_NONAME;
	errno = -r;
	return r == -EAGAIN || r == -ECONNREFUSED || r == -ETIMEDOUT ? EAI_AGAIN : EAI_SYSTEM;
}

static struct addrinfo *names_entry_new(const struct broker_addr *from, uint16_t port,
	const struct addrinfo *hint, const char *name)
{
	size_t name_size = name ? strlen(name) + 1 : 0;
	struct names_entry *e = calloc(1, sizeof *e + name_size);

	if (!e)
		return NULL;
	e->info = (struct addrinfo){ .ai_socktype = hint->ai_socktype ?: SOCK_STREAM,
		.ai_protocol = hint->ai_protocol,
		.ai_addr = &e->addr.any };
	if (!hint->ai_protocol && e->info.ai_socktype != SOCK_RAW)
		e->info.ai_protocol = e->info.ai_socktype == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP;
	if (from->family == BROKER_IPV4) {
		e->addr.in4 =
			(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
		memcpy(&e->addr.in4.sin_addr, from->bytes, sizeof e->addr.in4.sin_addr);
		e->info.ai_addrlen = sizeof e->addr.in4;
	} else {
		e->addr.in6 =
			(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		memcpy(&e->addr.in6.sin6_addr, from->bytes, sizeof e->addr.in6.sin6_addr);
		e->info.ai_addrlen = sizeof e->addr.in6;
	}
	e->info.ai_family = e->addr.any.sa_family;
	if (name)
		e->info.ai_canonname = memcpy(e->name, name, name_size);
	return &e->info;
}

int broker_names_get(const struct broker_client *c, const char *node, const char *service,
	const struct addrinfo *hint, struct addrinfo **ret_list)
{
	static const struct addrinfo no_hint = { 0 };
	struct broker_addr addrs[BROKER_ADDRS_MAX];
	struct addrinfo *list = NULL, **end = &list;
	uint16_t port;
	int count, r;

	if (!hint)
		hint = &no_hint;
	if (!node && !service)
		return EAI_NONAME;
	if (hint->ai_family != AF_UNSPEC && hint->ai_family != AF_INET &&
		hint->ai_family != AF_INET6)
		return EAI_FAMILY;
	r = names_find_service(service, hint->ai_flags, &port);
	if (r != 0)
		return r;
	count = names_resolve(c, node, hint, addrs);
	for (int i = 0; i < count; i++) {
		const char *name = hint->ai_flags & AI_CANONNAME && !list ? node : NULL;
		bool ipv4 = addrs[i].family == BROKER_IPV4;

		if (hint->ai_family != AF_UNSPEC && (hint->ai_family == AF_INET) != ipv4)
			continue;
		*end = names_entry_new(&addrs[i], port, hint, name);
		if (!*end) {
			broker_names_free(list);
			return EAI_MEMORY;
		}
		end = &(*end)->ai_next;
	}
	*ret_list = list;
	return count < 0 ? count : list ? 0 : EAI_NONAME;
}

/* An entry begins with what the caller has of it. */
void broker_names_free(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}
