/* SPDX-License-Identifier: MIT */
#include "os/name_book.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/lang.h"

#define FIRST_V4 0xc6120001U /* 198.18.0.1: the network's own address is left out */
#define FIRST_V6 1U

uint64_t name_book_choose_net(void)
{
	uint64_t net = 0;

	/* Without random bytes it is a network of fd00::/8 still. */
	(void)!getrandom(&net, sizeof net, GRND_NONBLOCK);
	return htobe64((be64toh(net) >> 8) | UINT64_C(0xfd) << 56);
}

int name_book_add(struct name_book *n, const char *name)
{
	uint64_t hash = hash_bytes(0, name, strlen(name));

	for (size_t i = 0; i < n->count; i++)
		if (n->hashes[i] == hash && strcmp(n->names[i], name) == 0)
			return (int)i;
	if (n->count == NAME_BOOK_MAX)
		return -ENOSPC;
	if (!n->hashes)
		n->hashes = calloc(NAME_BOOK_MAX, sizeof *n->hashes);
	if (!n->names)
		n->names = calloc(NAME_BOOK_MAX, sizeof *n->names);
	if (!n->hashes || !n->names)
		return -ENOMEM;
	n->names[n->count] = strdup(name);
	if (!n->names[n->count])
		return -ENOMEM;
	n->hashes[n->count] = hash;
	return (int)n->count++;
}

struct broker_addr name_book_addr(const struct name_book *n, int number, enum broker_family family)
{
	struct broker_addr addr = { .family = (uint8_t)family };
	uint32_t v4 = htobe32(FIRST_V4 + (uint32_t)number);
	uint64_t v6 = htobe64(FIRST_V6 + (uint64_t)number);

	if (family == BROKER_IPV4) {
		memcpy(addr.bytes, &v4, sizeof v4);
		return addr;
	}
	memcpy(addr.bytes, &n->net, sizeof n->net);
	memcpy(addr.bytes + sizeof n->net, &v6, sizeof v6);
	return addr;
}

const char *name_book_find(const struct name_book *n, const struct ipaddr *addr)
{
	uint64_t number;
	uint32_t v4;

	if (ipaddr_is_v4(addr)) {
		memcpy(&v4, addr->bytes + 12, sizeof v4);
		number = (uint64_t)be32toh(v4) - FIRST_V4;
	} else if (memcmp(addr->bytes, &n->net, sizeof n->net) == 0) {
		memcpy(&number, addr->bytes + sizeof n->net, sizeof number);
		number = be64toh(number) - FIRST_V6;
	} else {
		return NULL;
	}
	return number < n->count ? n->names[number] : NULL;
}

void name_book_clear(struct name_book *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
	free(n->hashes);
	*n = (struct name_book){ .net = n->net };
}
