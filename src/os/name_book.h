/* SPDX-License-Identifier: MIT */
/*
 * The addresses that an instance is given in place of those of names: one for each name, of a
 * network that leads nowhere (198.18.0.0/15 of RFC 2544; a /64 of fd00::/8, RFC 4193), good as long
 * as the table. So it is a name that is connected to, and judged, whatever it resolves to by then.
 */
#ifndef OS_NAME_BOOK_H
#define OS_NAME_BOOK_H

#include <stddef.h>
#include <stdint.h>

#include "broker/broker_wire.h"
#include "policy/ipaddr.h"

#define NAME_BOOK_MAX 4096

/* Empty when zeroed. */
struct name_book {
	uint64_t net; /* the first half of its IPv6 addresses, network order; of the owner's choice
		       */
	size_t count;
	uint64_t *hashes; /* of the names, which are looked for by them */
	char **names;
};

/* A network of fd00::/8 for `net`, made at random. */
uint64_t name_book_choose_net(void);

/* Its number, which is the same for the same name. -ENOSPC: there are NAME_BOOK_MAX; -ENOMEM. */
int name_book_add(struct name_book *n, const char *name);

/* The address of a name. */
struct broker_addr name_book_addr(const struct name_book *n, int number, enum broker_family family);

/* The way back. NULL: no name has that address. */
const char *name_book_find(const struct name_book *n, const struct ipaddr *addr);

void name_book_clear(struct name_book *n);

#endif
