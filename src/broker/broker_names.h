/* SPDX-License-Identifier: MIT */
/*
 * getaddrinfo(3) by the broker: no resolver, no file and no socket in the guest. Addresses as text,
 * and `localhost` with every name below it (RFC 6761, 6.3), are answered without the broker, which
 * judges whoever connects there.
 *
 * There is one entry for each address, and without a hint about the kind of socket it is a stream:
 * a guest has no others. Of services the names are known that programs look up before they connect.
 */
#ifndef BROKER_BROKER_NAMES_H
#define BROKER_BROKER_NAMES_H

#include <netdb.h>

struct broker_client;

/* As getaddrinfo(3): 0 or an EAI_…; of EAI_SYSTEM errno says more, also what `wait` has returned.
 * `hint` may be NULL. */
int broker_names_get(const struct broker_client *c, const char *node, const char *service,
	const struct addrinfo *hint, struct addrinfo **ret_list);

/* Of broker_names_get() alone; NULL is an empty one. */
void broker_names_free(struct addrinfo *list);

#endif
