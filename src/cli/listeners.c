/* SPDX-License-Identifier: MIT */
/* A row is "  0: 0100007F:1F90 00000000:0000 0A …": number, local address, remote one, state. */
#include "cli/listeners.h"

#include <string.h>

#include "base/parse.h"
#include "net/addr.h"

#define LISTENERS_STATE "0A" /* TCP_LISTEN */
#define LISTENERS_ROW_MAX 256
#define LISTENERS_ADDR_MAX 63 /* of 37 characters: 32 digits, a colon, the port */

/* "0100007F:1F90": each 32 bits of the address as a number of this machine's, the port as such. */
static bool listeners_parse_addr(const char *text, struct addr *ret_addr)
{
	size_t digits = strcspn(text, ":"), words = digits / 8;
	uint32_t address[4] = { 0 };
	uint8_t bytes[4], port[2];
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in4 = { .sin_family = AF_INET };

	if ((digits != 8 && digits != 32) || strlen(text) != digits + 5 ||
		parse_hex(text + digits + 1, 4, port, sizeof(port)) < 0)
		return false;
	for (size_t i = 0; i < words; i++) {
		if (parse_hex(text + 8 * i, 8, bytes, sizeof(bytes)) < 0)
			return false;
		address[i] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
			     (uint32_t)bytes[2] << 8 | bytes[3];
	}
	memcpy(&in4.sin_addr, address, sizeof(in4.sin_addr));
	memcpy(&in6.sin6_addr, address, sizeof(in6.sin6_addr));
	memcpy(&in4.sin_port, port, sizeof(port));
	memcpy(&in6.sin6_port, port, sizeof(port));
	return addr_from_sockaddr(
		       words == 1 ? (const struct sockaddr *)&in4 : (const struct sockaddr *)&in6,
		       ret_addr) == 0;
}

bool listeners_parse(const char *row, struct addr *ret_addr)
{
	char local[LISTENERS_ADDR_MAX + 1], state[8];

	return sscanf(row, "%*s %63s %*s %7s", local, state) == 2 &&
	       strcmp(state, LISTENERS_STATE) == 0 && listeners_parse_addr(local, ret_addr);
}

/* Whether one of the addresses in `text` is this one. */
static bool listeners_has(const char *text, const char *ip)
{
	size_t len = strlen(ip);

	for (const char *at = text; *at; at += strspn(at, ", ")) {
		size_t this_len = strcspn(at, ",");

		if (this_len == len && memcmp(at, ip, len) == 0)
			return true;
		at += this_len;
	}
	return false;
}

void listeners_add(FILE *table, uint16_t port, char *text, size_t size)
{
	char row[LISTENERS_ROW_MAX], ip[ADDR_TEXT_MAX];
	struct addr addr;

	while (table && fgets(row, sizeof(row), table)) {
		size_t len = strlen(text);

		if (!listeners_parse(row, &addr) || addr_port(&addr) != port ||
			listeners_has(text, addr_format_ip(&addr, ip)) ||
			len + strlen(", ") + strlen(ip) >= size)
			continue;
		(void)snprintf(text + len, size - len, "%s%s", len ? ", " : "", ip);
	}
}
