/* SPDX-License-Identifier: MIT */
/*
 * IP addresses and networks as rules compare them: bytes, without a socket. An IPv4 address is kept
 * as the IPv6 address that it is mapped to (RFC 4291, 2.5.5.2), because the kernel takes both for
 * the same host: so they are one here, too.
 */
#ifndef POLICY_IPADDR_H
#define POLICY_IPADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPADDR_TEXT_MAX 48 /* the longest IPv6 address, its brackets and a NUL */
#define IPNET_TEXT_MAX 52  /* the same with "/128" */

/* IPv4 addresses that one IPv6 address can stand for. */
#define IPADDR_EMBEDDED_MAX 4

struct ipaddr {
	uint8_t bytes[16];
};

struct ipnet {
	struct ipaddr base; /* the bits behind the prefix are 0 */
	uint8_t bits;       /* of the prefix, of 128: 96 more than an IPv4 network's */
};

#define IPNET_V4_BITS 96
#define IPNET_V4(a, b, c, d, len)                                             \
	{                                                                     \
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d } }, \
			IPNET_V4_BITS + (len)                                 \
	}
#define IPNET_V6(a, b, c, d, e, f, g, h, len)                                                 \
	{                                                                                     \
		{ { (a) >> 8, (a)&0xff, (b) >> 8, (b)&0xff, (c) >> 8, (c)&0xff, (d) >> 8,     \
			(d)&0xff, (e) >> 8, (e)&0xff, (f) >> 8, (f)&0xff, (g) >> 8, (g)&0xff, \
			(h) >> 8, (h)&0xff } },                                               \
			len                                                                   \
	}

struct ipaddr ipaddr_from_v4(const uint8_t bytes[4]);
struct ipaddr ipaddr_from_v6(const uint8_t bytes[16]);
bool ipaddr_is_v4(const struct ipaddr *a);
bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b);

/* Four decimal numbers without leading zeros, or an IPv6 address without brackets and zone.
 * -EINVAL. */
int ipaddr_parse(const char *text, struct ipaddr *ret_addr);

/*
 * An IPv4 address in each spelling that inet_aton(3) takes, and so getaddrinfo(3): one to four
 * numbers, decimal, octal behind "0" or hexadecimal behind "0x", the last of which fills the bytes
 * that are left. -EINVAL.
 */
int ipaddr_parse_aton(const char *text, struct ipaddr *ret_addr);

/* As a rule has them: "10.0.0.1", "[::1]", "10.0.0.0/8", "[fc00::/7]". Return `text`. */
const char *ipaddr_format(const struct ipaddr *a, char text[IPADDR_TEXT_MAX]);
const char *ipnet_format(const struct ipnet *net, char text[IPNET_TEXT_MAX]);

/* A network of IPv6 has no IPv4 addresses, not even "::/0". */
bool ipnet_has(const struct ipnet *net, const struct ipaddr *a);

/* The network without the bits behind its prefix. */
struct ipnet ipnet_of(const struct ipaddr *a, uint8_t bits);

/*
 * The IPv4 addresses to which a gateway may pass on what is sent to an IPv6 address: those of
 * NAT64, 6to4, Teredo, and of the IPv4-compatible and IPv4-translated forms. Returns their number.
 */
size_t ipaddr_embedded(const struct ipaddr *a, struct ipaddr ret_v4[IPADDR_EMBEDDED_MAX]);

#endif
