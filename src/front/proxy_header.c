/* SPDX-License-Identifier: MIT */
#include "front/proxy_header.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/lang.h"
#include "base/parse.h"

static const char v1_begin[] = "PROXY ";
static const uint8_t v2_begin[] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T',
	'\n' };

/* --- version 1 --- */

/* The next word of a line, without its blank. False: there is none. */
static bool proxy_next_word(const char **at, const char *end, char *text, size_t size)
{
	const char *blank = memchr(*at, ' ', (size_t)(end - *at));
	size_t len = blank ? (size_t)(blank - *at) : (size_t)(end - *at);

	if (!len || len >= size || memchr(*at, '\0', len))
		return false;
	memcpy(text, *at, len);
	text[len] = '\0';
	*at += len + (blank ? 1 : 0);
	return true;
}

/* A port as proxy-protocol.txt wants it: no zeros before it. */
static bool proxy_parse_port(const char *text, uint16_t *ret_port)
{
	size_t len = strlen(text);

	return (text[0] != '0' || len == 1) && parse_u16(text, len, ret_port) == 0;
}

/* "TCP4 192.0.2.1 192.0.2.2 50000 7835". */
static enum proxy_header_result proxy_read_line(
	const char *at, const char *end, struct addr *ret_client)
{
	char family[8], from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], port[6], to_port[6];
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct in6_addr dest;
	uint16_t number, ignored;
	bool v4;

	if (!proxy_next_word(&at, end, family, sizeof(family)))
		return PROXY_HEADER_BAD;
	/* Whatever follows is to be ignored. */
	if (strcmp(family, "UNKNOWN") == 0)
		return PROXY_HEADER_LOCAL;
	v4 = strcmp(family, "TCP4") == 0;
	if (!v4 && strcmp(family, "TCP6") != 0)
		return PROXY_HEADER_BAD;
	if (!proxy_next_word(&at, end, from, sizeof(from)) ||
		!proxy_next_word(&at, end, to, sizeof(to)) ||
		!proxy_next_word(&at, end, port, sizeof(port)) ||
		!proxy_next_word(&at, end, to_port, sizeof(to_port)) || at != end || end[-1] == ' ')
		return PROXY_HEADER_BAD;
	if (!proxy_parse_port(port, &number) || !proxy_parse_port(to_port, &ignored))
		return PROXY_HEADER_BAD;
	in4.sin_port = in6.sin6_port = htons(number);
	if (inet_pton(v4 ? AF_INET : AF_INET6, to, &dest) != 1 ||
		inet_pton(v4 ? AF_INET : AF_INET6, from,
			v4 ? (void *)&in4.sin_addr : (void *)&in6.sin6_addr) != 1)
		return PROXY_HEADER_BAD;
	(void)addr_from_sockaddr(
		v4 ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6, ret_client);
	return PROXY_HEADER_CLIENT;
}

static enum proxy_header_result proxy_read_v1(
	const uint8_t *data, size_t len, struct addr *ret_client, size_t *ret_used)
{
	const char *text = (const char *)data, *lf;

	lf = memchr(text, '\n', min_u64(len, PROXY_V1_MAX));
	if (!lf)
		return len < PROXY_V1_MAX ? PROXY_HEADER_PARTIAL : PROXY_HEADER_BAD;
	if (lf[-1] != '\r')
		return PROXY_HEADER_BAD;
	*ret_used = (size_t)(lf + 1 - text);
	return proxy_read_line(text + sizeof(v1_begin) - 1, lf - 1, ret_client);
}

/* --- version 2 --- */

enum {
	V2_COMMAND = 12, /* its byte: version and command */
	V2_FAMILY,
	V2_LENGTH, /* two bytes, of what follows */
	V2_HEADER = 16,
};

/* `body` has `len` bytes: source, destination, their ports, TLVs. */
static enum proxy_header_result proxy_read_v2_addresses(
	uint8_t family, const uint8_t *body, size_t len, struct addr *ret_client)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in4 = { .sin_family = AF_INET };

	switch (family) {
	case 0x11: /* TCP over IPv4 */
		if (len < 12)
			return PROXY_HEADER_BAD;
		memcpy(&in4.sin_addr, body, 4);
		memcpy(&in4.sin_port, body + 8, 2);
		(void)addr_from_sockaddr((struct sockaddr *)&in4, ret_client);
		return PROXY_HEADER_CLIENT;
	case 0x21: /* TCP over IPv6 */
		if (len < 36)
			return PROXY_HEADER_BAD;
		memcpy(&in6.sin6_addr, body, 16);
		memcpy(&in6.sin6_port, body + 32, 2);
		(void)addr_from_sockaddr((struct sockaddr *)&in6, ret_client);
		return PROXY_HEADER_CLIENT;
	default: /* unspecified, Unix, UDP: "should be ignored" (2.2) */
		return PROXY_HEADER_LOCAL;
	}
}

static enum proxy_header_result proxy_read_v2(
	const uint8_t *data, size_t len, struct addr *ret_client, size_t *ret_used)
{
	size_t body;

	if (len > V2_COMMAND && data[V2_COMMAND] != 0x20 && data[V2_COMMAND] != 0x21)
		return PROXY_HEADER_BAD;
	if (len < V2_HEADER)
		return PROXY_HEADER_PARTIAL;
	body = (size_t)data[V2_LENGTH] << 8 | data[V2_LENGTH + 1];
	if (V2_HEADER + body > PROXY_V2_MAX)
		return PROXY_HEADER_BAD;
	if (len < V2_HEADER + body)
		return PROXY_HEADER_PARTIAL;
	*ret_used = V2_HEADER + body;
	if (data[V2_COMMAND] == 0x20)
		return PROXY_HEADER_LOCAL;
	return proxy_read_v2_addresses(data[V2_FAMILY], data + V2_HEADER, body, ret_client);
}

enum proxy_header_result proxy_header_read(
	const uint8_t *data, size_t len, struct addr *ret_client, size_t *ret_used)
{
	static const size_t v1 = sizeof(v1_begin) - 1, v2 = sizeof(v2_begin);

	if (memcmp(data, v1_begin, min_u64(len, v1)) == 0)
		return len < v1 ? PROXY_HEADER_PARTIAL
				: proxy_read_v1(data, len, ret_client, ret_used);
	if (memcmp(data, v2_begin, min_u64(len, v2)) == 0)
		return len < v2 ? PROXY_HEADER_PARTIAL
				: proxy_read_v2(data, len, ret_client, ret_used);
	return PROXY_HEADER_NONE;
}
