/* SPDX-License-Identifier: MIT */
/*
 * Addresses and their texts. The invariant: a struct addr never holds an IPv4-mapped IPv6 address,
 * so one host has one address and one key.
 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include "base/parse.h"

int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr)
{
	struct addr addr = { 0 };
	struct sockaddr_in6 in6;

	if (sa->sa_family == AF_INET) {
		memcpy(&addr.in4, sa, sizeof(addr.in4));
		memset(addr.in4.sin_zero, 0, sizeof(addr.in4.sin_zero));
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			addr.in4.sin_family = AF_INET;
			addr.in4.sin_port = in6.sin6_port;
			memcpy(&addr.in4.sin_addr, &in6.sin6_addr.s6_addr[12], 4);
		} else {
			addr.in6 = in6;
			addr.in6.sin6_flowinfo = 0;
		}
	} else {
		return -EAFNOSUPPORT;
	}
	*ret_addr = addr;
	return 0;
}

/* The zone behind '%' of a link-local address: an interface's name or number (RFC 4007). */
static int addr_parse_scope(const char *text, uint32_t *ret_scope)
{
	uint64_t number;

	*ret_scope = if_nametoindex(text);
	if (*ret_scope)
		return 0;
	if (parse_u64(text, strlen(text), 1, UINT32_MAX, &number) < 0)
		return -EINVAL;
	*ret_scope = (uint32_t)number;
	return 0;
}

int addr_parse_ip(const char *text, uint16_t port, struct addr *ret_addr)
{
	size_t len = strlen(text);
	char host[ADDR_TEXT_MAX];
	struct addr addr = { 0 };
	char *zone;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';

	if (inet_pton(AF_INET, host, &addr.in4.sin_addr) == 1) {
		addr.in4.sin_family = AF_INET;
		addr.in4.sin_port = htons(port);
		*ret_addr = addr;
		return 0;
	}
	memset(&addr, 0, sizeof(addr));
	addr.in6.sin6_family = AF_INET6;
	addr.in6.sin6_port = htons(port);
	zone = strchr(host, '%');
	if (zone) {
		*zone++ = '\0';
		if (addr_parse_scope(zone, &addr.in6.sin6_scope_id) < 0)
			return -EINVAL;
	}
	if (inet_pton(AF_INET6, host, &addr.in6.sin6_addr) != 1)
		return -EINVAL;
	return addr_from_sockaddr(&addr.sa, ret_addr);
}

socklen_t addr_len(const struct addr *addr)
{
	return addr->sa.sa_family == AF_INET ? sizeof(addr->in4) : sizeof(addr->in6);
}

/* sin_port and sin6_port have the same place. */
uint16_t addr_port(const struct addr *addr)
{
	return ntohs(addr->in4.sin_port);
}

void addr_set_port(struct addr *addr, uint16_t port)
{
	addr->in4.sin_port = htons(port);
}

bool addr_is_loopback(const struct addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return ntohl(addr->in4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
}

bool addr_is_any(const struct addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return addr->in4.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b))
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

void addr_interleave(struct addr *addrs, size_t count)
{
	struct addr other;
	size_t found;

	for (size_t at = 1; at < count; at++) {
		found = at;
		while (found < count && addrs[found].sa.sa_family == addrs[at - 1].sa.sa_family)
			found++;
		if (found == count)
			return;
		other = addrs[found];
		memmove(&addrs[at + 1], &addrs[at], (found - at) * sizeof(other));
		addrs[at] = other;
	}
}

struct addr_key addr_limit_key(const struct addr *addr)
{
	struct addr_key key = { 0 };

	key.bytes[0] = (uint8_t)addr->sa.sa_family;
	if (addr->sa.sa_family == AF_INET)
		memcpy(key.bytes + 1, &addr->in4.sin_addr, 4);
	else
		memcpy(key.bytes + 1, &addr->in6.sin6_addr, 8);
	return key;
}

char *addr_format_ip(const struct addr *addr, char ret_text[ADDR_TEXT_MAX])
{
	char zone[IF_NAMESIZE];
	size_t len;

	if (addr->sa.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &addr->in4.sin_addr, ret_text, ADDR_TEXT_MAX);
		return ret_text;
	}
	(void)inet_ntop(AF_INET6, &addr->in6.sin6_addr, ret_text, ADDR_TEXT_MAX);
	len = strlen(ret_text);
	if (addr->in6.sin6_scope_id && if_indextoname(addr->in6.sin6_scope_id, zone))
		(void)snprintf(ret_text + len, ADDR_TEXT_MAX - len, "%%%s", zone);
	return ret_text;
}

char *addr_format(const struct addr *addr, char ret_text[ADDR_TEXT_MAX])
{
	bool v6 = addr->sa.sa_family == AF_INET6;
	char ip[ADDR_TEXT_MAX];

	(void)addr_format_ip(addr, ip);
	(void)snprintf(
		ret_text, ADDR_TEXT_MAX, v6 ? "[%.55s]:%u" : "%.55s:%u", ip, addr_port(addr));
	return ret_text;
}

int addr_of_socket(int fd, struct addr *ret_addr)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sockaddr((struct sockaddr *)&ss, ret_addr);
}
