/* SPDX-License-Identifier: MIT */
/*
 * The proxies that are believed when they say who their client is (--trusted-proxy), and what they
 * say of it in a request of HTTP. Pure.
 */
#ifndef FRONT_TRUSTED_H
#define FRONT_TRUSTED_H

#include <stdbool.h>
#include <stddef.h>

#include "front/head.h"
#include "net/addr.h"
#include "policy/ipaddr.h"

#define TRUSTED_MAX 64 /* networks */
#define TRUSTED_WHY_MAX 160

struct trusted {
	size_t count;
	struct ipnet nets[TRUSTED_MAX];
};

/* "10.0.0.0/8", "fc00::/7", or an address alone. -EINVAL: ret_why is a clause. */
int trusted_parse(const char *text, struct ipnet *ret_net, char ret_why[TRUSTED_WHY_MAX]);

/* The same as the `check` of a struct option_def. */
int trusted_check(int form, const char *text, char *ret_why);

bool trusted_has(const struct trusted *t, const struct addr *addr);

/*
 * Who sent a request that came from `proxy`, which is trusted: of X-Forwarded-For, read from its
 * end, the first address that is not a trusted proxy's, or the first of all; without that field
 * X-Real-IP; without both the proxy itself. Where there is a port, it is the client's; else that is
 * 0. -EBADMSG: what counts is no address, or the two fields differ. A front sets one of them and
 * passes on the other as its client has made it up, and only its operator knows which that is.
 */
int trusted_client(const struct trusted *t, const struct head *head, const struct addr *proxy,
	struct addr *ret_client);

/* Whether the request says anything of its client. */
bool trusted_is_told(const struct head *head);

#endif
