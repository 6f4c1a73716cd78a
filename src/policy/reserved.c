/* SPDX-License-Identifier: MIT */
/*
 * IANA's registries of special-purpose addresses, as far as they are not globally reachable, and
 * what clouds have put beside them. The narrower network stands before the wider one. Of IPv6, only
 * 2000::/3 has been given out: the last rows are all the rest, so what a later RFC makes of it is
 * refused until it has a row.
 */
#include "policy/reserved.h"

#include "base/lang.h"

const struct reserved reserved_table[] = {
	{ IPNET_V4(0, 0, 0, 0, 8), "this network", "RFC 1122, 3.2.1.3" },
	{ IPNET_V4(10, 0, 0, 0, 8), "private", "RFC 1918" },
	{ IPNET_V4(100, 64, 0, 0, 10), "shared behind a carrier's NAT", "RFC 6598" },
	{ IPNET_V4(127, 0, 0, 0, 8), "loopback", "RFC 1122, 3.2.1.3" },
	/* Most clouds tell their machines' secrets at 169.254.169.254. */
	{ IPNET_V4(169, 254, 0, 0, 16), "link-local", "RFC 3927" },
	{ IPNET_V4(172, 16, 0, 0, 12), "private", "RFC 1918" },
	/* Oracle's cloud has 192.0.0.192 for that. */
	{ IPNET_V4(192, 0, 0, 0, 24), "kept for protocols", "RFC 6890, 2.2.2" },
	{ IPNET_V4(192, 0, 2, 0, 24), "for documentation", "RFC 5737" },
	{ IPNET_V4(192, 88, 99, 0, 24), "a 6to4 relay", "RFC 7526" },
	{ IPNET_V4(192, 168, 0, 0, 16), "private", "RFC 1918" },
	{ IPNET_V4(198, 18, 0, 0, 15), "for benchmarks", "RFC 2544" },
	{ IPNET_V4(198, 51, 100, 0, 24), "for documentation", "RFC 5737" },
	{ IPNET_V4(203, 0, 113, 0, 24), "for documentation", "RFC 5737" },
	{ IPNET_V4(224, 0, 0, 0, 4), "multicast", "RFC 5771" },
	{ IPNET_V4(240, 0, 0, 0, 4), "reserved", "RFC 1112, 4" },
	/* A public address by its number, and the host of each virtual machine there. */
	{ IPNET_V4(168, 63, 129, 16, 32), "the platform of Azure", "Azure's documentation" },
	{ IPNET_V6(0, 0, 0, 0, 0, 0, 0, 0, 128), "unspecified", "RFC 4291, 2.5.2" },
	{ IPNET_V6(0, 0, 0, 0, 0, 0, 0, 1, 128), "loopback", "RFC 4291, 2.5.3" },
	{ IPNET_V6(0, 0, 0, 0, 0, 0, 0, 0, 96), "IPv4-compatible", "RFC 4291, 2.5.5.1", true },
	{ IPNET_V6(0, 0, 0, 0, 0xffff, 0, 0, 0, 96), "IPv4-translated", "RFC 2765, 2.1", true },
	{ IPNET_V6(0x64, 0xff9b, 0, 0, 0, 0, 0, 0, 96), "NAT64", "RFC 6052, 2.1", true },
	{ IPNET_V6(0x64, 0xff9b, 1, 0, 0, 0, 0, 0, 48), "local NAT64", "RFC 8215", true },
	{ IPNET_V6(0x100, 0, 0, 0, 0, 0, 0, 0, 64), "a place where all is discarded", "RFC 6666" },
	{ IPNET_V6(0x2001, 0, 0, 0, 0, 0, 0, 0, 32), "Teredo", "RFC 4380, 2.6", true },
	{ IPNET_V6(0x2001, 0, 0, 0, 0, 0, 0, 0, 23), "kept for protocols", "RFC 2928" },
	{ IPNET_V6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0, 32), "for documentation", "RFC 3849" },
	{ IPNET_V6(0x2002, 0, 0, 0, 0, 0, 0, 0, 16), "6to4", "RFC 3056", true },
	{ IPNET_V6(0x3fff, 0, 0, 0, 0, 0, 0, 0, 20), "for documentation", "RFC 9637" },
	/* fd00:ec2::254 is Amazon's 169.254.169.254. */
	{ IPNET_V6(0xfc00, 0, 0, 0, 0, 0, 0, 0, 7), "private", "RFC 4193" },
	{ IPNET_V6(0xfe80, 0, 0, 0, 0, 0, 0, 0, 10), "link-local", "RFC 4291, 2.5.6" },
	{ IPNET_V6(0xfec0, 0, 0, 0, 0, 0, 0, 0, 10), "site-local", "RFC 3879" },
	{ IPNET_V6(0xff00, 0, 0, 0, 0, 0, 0, 0, 8), "multicast", "RFC 4291, 2.7" },
	{ IPNET_V6(0, 0, 0, 0, 0, 0, 0, 0, 3), "not given out", "RFC 4291, 2.4" },
	{ IPNET_V6(0x4000, 0, 0, 0, 0, 0, 0, 0, 2), "not given out", "RFC 4291, 2.4" },
	{ IPNET_V6(0x8000, 0, 0, 0, 0, 0, 0, 0, 1), "not given out", "RFC 4291, 2.4" },
};
const size_t reserved_table_len = ARRAY_LEN(reserved_table);

const struct reserved *reserved_find(const struct ipaddr *a)
{
	for (size_t i = 0; i < reserved_table_len; i++)
		if (ipnet_has(&reserved_table[i].net, a))
			return &reserved_table[i];
	return NULL;
}

bool reserved_is_loopback(const struct ipaddr *a)
{
	static const struct ipnet v4 = IPNET_V4(127, 0, 0, 0, 8);
	static const struct ipnet v6 = IPNET_V6(0, 0, 0, 0, 0, 0, 0, 1, 128);

	return ipnet_has(&v4, a) || ipnet_has(&v6, a);
}

bool reserved_is_unspecified(const struct ipaddr *a)
{
	static const struct ipnet v4 = IPNET_V4(0, 0, 0, 0, 32);
	static const struct ipnet v6 = IPNET_V6(0, 0, 0, 0, 0, 0, 0, 0, 128);

	return ipnet_has(&v4, a) || ipnet_has(&v6, a);
}
