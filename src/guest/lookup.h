/* SPDX-License-Identifier: MIT */
/* getaddrinfo(3) on a thread of its own: it waits for name servers, and nothing can wake it. */
#ifndef GUEST_LOOKUP_H
#define GUEST_LOOKUP_H

#include <netdb.h>

struct call;

/*
 * As getaddrinfo(3), for freeaddrinfo(3): 0 or an EAI_…. EAI_SYSTEM with an errno is what
 * call_wait() has returned: the thread is left alone then, and frees what it finds.
 */
int lookup_get(const struct call *c, const char *node, const char *service,
	const struct addrinfo *hint, struct addrinfo **ret_list);

#endif
