/* SPDX-License-Identifier: MIT */
/*
 * Where the application wants to connect to, read once and in one way. Whoever resolves or dials
 * must go by a destination and not by the text that it came from: what was judged is what is
 * reached.
 */
#ifndef POLICY_DESTINATION_H
#define POLICY_DESTINATION_H

#include <stdint.h>

#include "policy/hostname.h"
#include "policy/ipaddr.h"

#define DESTINATION_WHY_MAX 128
#define DESTINATION_TEXT_MAX (HOSTNAME_MAX + sizeof(":65535"))

struct destination {
	char name[HOSTNAME_SIZE]; /* to be resolved; "": it is an address */
	struct ipaddr addr;
	uint16_t port; /* of TCP */
};

/*
 * Reads a host as getaddrinfo(3) would: an IPv4 address in any spelling that inet_aton(3) takes, an
 * IPv6 address without brackets, or else a name. -EINVAL: ret_why says why it is none of them, as a
 * clause. A zone ("fe80::1%eth0") is none: rules know no interfaces.
 */
int destination_parse(const char *host, uint16_t port, struct destination *ret_destination,
	char ret_why[DESTINATION_WHY_MAX]);

struct destination destination_of_addr(const struct ipaddr *addr, uint16_t port);

/* "name:443", "10.0.0.1:443", "[::1]:443". Returns `text`. */
const char *destination_format(const struct destination *d, char text[DESTINATION_TEXT_MAX]);

#endif
