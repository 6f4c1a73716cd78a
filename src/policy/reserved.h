/* SPDX-License-Identifier: MIT */
/*
 * The networks that are not the public internet: of this machine, of the network that it stands in,
 * of a cloud that it runs in, of gateways to IPv4, and what nobody has been given. Neither "*" nor
 * a name's rule includes them.
 */
#ifndef POLICY_RESERVED_H
#define POLICY_RESERVED_H

#include "policy/ipaddr.h"

struct reserved {
	struct ipnet net;
	const char *what;   /* as in "10.0.0.1 is private" */
	const char *source; /* the RFC that says so */
	bool gateway;       /* a whole network that leads elsewhere: it is named as one */
};

extern const struct reserved reserved_table[];
extern const size_t reserved_table_len;

/* The row that an address belongs to, the narrowest one; NULL: it is public. */
const struct reserved *reserved_find(const struct ipaddr *a);

/* Its row is one of loopback. */
bool reserved_is_loopback(const struct ipaddr *a);

/* 0.0.0.0 or ::, which connect(2) takes for loopback: ip(7), ipv6(7). */
bool reserved_is_unspecified(const struct ipaddr *a);

#endif
