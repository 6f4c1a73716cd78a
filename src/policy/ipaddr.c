/* SPDX-License-Identifier: MIT */
/*
 * Every comparison is one of 16 bytes: no family has to be asked for, and none can be forgotten.
 * The one exception is in ipnet_has(), where a network of IPv6 must not take in the mapped
 * addresses.
 */
#include "policy/ipaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

/* Where an IPv6 address of some kind has an IPv4 address, byte by byte. */
struct embedding {
	struct ipnet net;
	uint8_t at[4];
	bool inverted;
	uint8_t zero_from; /* with byte 8, the bytes that must be 0; 16: none */
};

static const struct ipnet ipnet_v4 = IPNET_V4(0, 0, 0, 0, 0);

/* RFC 6052, 2.2 lets the operator of a NAT64 choose the length of its prefix, and nobody tells us
 * which it is. So each length that fits in RFC 8215's prefix is a reading of its own, where byte 8
 * and the bytes behind the address are 0 as that RFC wants it. */
static const struct embedding embeddings[] = {
	/* IPv4-compatible: RFC 4291, 2.5.5.1 */
	{ IPNET_V6(0, 0, 0, 0, 0, 0, 0, 0, 96), { 12, 13, 14, 15 }, .zero_from = 16 },
	/* IPv4-translated: RFC 2765, 2.1 */
	{ IPNET_V6(0, 0, 0, 0, 0xffff, 0, 0, 0, 96), { 12, 13, 14, 15 }, .zero_from = 16 },
	/* NAT64: RFC 6052, 2.1 */
	{ IPNET_V6(0x64, 0xff9b, 0, 0, 0, 0, 0, 0, 96), { 12, 13, 14, 15 }, .zero_from = 16 },
	/* NAT64 with a prefix of the operator's: RFC 8215 */
	{ IPNET_V6(0x64, 0xff9b, 1, 0, 0, 0, 0, 0, 48), { 6, 7, 9, 10 }, .zero_from = 11 },
	{ IPNET_V6(0x64, 0xff9b, 1, 0, 0, 0, 0, 0, 48), { 7, 9, 10, 11 }, .zero_from = 12 },
	{ IPNET_V6(0x64, 0xff9b, 1, 0, 0, 0, 0, 0, 48), { 9, 10, 11, 12 }, .zero_from = 13 },
	{ IPNET_V6(0x64, 0xff9b, 1, 0, 0, 0, 0, 0, 48), { 12, 13, 14, 15 }, .zero_from = 16 },
	/* Teredo, its server and its client: RFC 4380, 4 */
	{ IPNET_V6(0x2001, 0, 0, 0, 0, 0, 0, 0, 32), { 4, 5, 6, 7 }, .zero_from = 16 },
	{ IPNET_V6(0x2001, 0, 0, 0, 0, 0, 0, 0, 32), { 12, 13, 14, 15 }, true, .zero_from = 16 },
	/* 6to4: RFC 3056, 2 */
	{ IPNET_V6(0x2002, 0, 0, 0, 0, 0, 0, 0, 16), { 2, 3, 4, 5 }, .zero_from = 16 },
};

struct ipaddr ipaddr_from_v4(const uint8_t bytes[4])
{
	struct ipaddr a = ipnet_v4.base;

	memcpy(a.bytes + 12, bytes, 4);
	return a;
}

struct ipaddr ipaddr_from_v6(const uint8_t bytes[16])
{
	struct ipaddr a;

	memcpy(a.bytes, bytes, sizeof(a.bytes));
	return a;
}

bool ipaddr_is_v4(const struct ipaddr *a)
{
	return memcmp(a->bytes, ipnet_v4.base.bytes, IPNET_V4_BITS / 8) == 0;
}

bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int ipaddr_parse(const char *text, struct ipaddr *ret_addr)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*ret_addr = ipaddr_from_v4(bytes);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*ret_addr = ipaddr_from_v6(bytes);
	else
		return -EINVAL;
	return 0;
}

int ipaddr_parse_aton(const char *text, struct ipaddr *ret_addr)
{
	struct in_addr in;

	/* It would ignore what follows a blank. */
	if (text[strspn(text, "0123456789abcdefABCDEFxX.")] != '\0' || inet_aton(text, &in) != 1)
		return -EINVAL;
	*ret_addr = ipaddr_from_v4((const uint8_t *)&in.s_addr);
	return 0;
}

static void ipaddr_text(const struct ipaddr *a, char text[INET6_ADDRSTRLEN])
{
	if (ipaddr_is_v4(a))
		(void)inet_ntop(AF_INET, a->bytes + 12, text, INET6_ADDRSTRLEN);
	else
		(void)inet_ntop(AF_INET6, a->bytes, text, INET6_ADDRSTRLEN);
}

const char *ipaddr_format(const struct ipaddr *a, char text[IPADDR_TEXT_MAX])
{
	char bare[INET6_ADDRSTRLEN];

	ipaddr_text(a, bare);
	(void)snprintf(text, IPADDR_TEXT_MAX, ipaddr_is_v4(a) ? "%s" : "[%s]", bare);
	return text;
}

const char *ipnet_format(const struct ipnet *net, char text[IPNET_TEXT_MAX])
{
	bool v4 = ipaddr_is_v4(&net->base);
	char bare[INET6_ADDRSTRLEN];

	if (net->bits == 128)
		return ipaddr_format(&net->base, text);
	ipaddr_text(&net->base, bare);
	(void)snprintf(text, IPNET_TEXT_MAX, v4 ? "%s/%u" : "[%s/%u]", bare,
		v4 ? net->bits - IPNET_V4_BITS : net->bits);
	return text;
}

struct ipnet ipnet_of(const struct ipaddr *a, uint8_t bits)
{
	struct ipnet net = { .base = *a, .bits = bits };

	for (unsigned i = bits; i < 128; i++)
		net.base.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return net;
}

bool ipnet_has(const struct ipnet *net, const struct ipaddr *a)
{
	unsigned whole = net->bits / 8;
	uint8_t mask = (uint8_t)(0xff00 >> net->bits % 8);

	if (net->bits < IPNET_V4_BITS && ipaddr_is_v4(a))
		return false;
	return memcmp(net->base.bytes, a->bytes, whole) == 0 &&
	       (whole == 16 || ((net->base.bytes[whole] ^ a->bytes[whole]) & mask) == 0);
}

static bool embedding_fits(const struct embedding *e, const struct ipaddr *a)
{
	if (!ipnet_has(&e->net, a))
		return false;
	if (e->zero_from < 16 && a->bytes[8] != 0)
		return false;
	for (unsigned i = e->zero_from; i < 16; i++)
		if (a->bytes[i] != 0)
			return false;
	/* "::" and "::1" are no IPv4-compatible addresses, though they look so. */
	return e != &embeddings[0] || a->bytes[12] != 0;
}

size_t ipaddr_embedded(const struct ipaddr *a, struct ipaddr ret_v4[IPADDR_EMBEDDED_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
		const struct embedding *e = &embeddings[i];
		uint8_t v4[4];

		if (!embedding_fits(e, a))
			continue;
		for (unsigned j = 0; j < sizeof(v4); j++)
			v4[j] = a->bytes[e->at[j]] ^ (e->inverted ? 0xff : 0);
		ret_v4[n++] = ipaddr_from_v4(v4);
	}
	return n;
}
