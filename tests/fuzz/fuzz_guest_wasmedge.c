/* SPDX-License-Identifier: MIT */
/*
 * What the guest hands over with WasmEdge's calls: addresses, and the list of places for the
 * answers to a name. Eight numbers of four bytes are a call's arguments, the rest is the guest's
 * memory. Nothing may be touched outside it, whatever it says. Names are answered here.
 */
#include <assert.h>
#include <netdb.h>
#include <stdlib.h>

#include "fuzz.h"
#include "guest/streams.h"
#include "guest/wasmedge.h"

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hint,
	struct addrinfo **ret_list);
void __wrap_freeaddrinfo(struct addrinfo *list);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hint,
	struct addrinfo **ret_list)
{
	static struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = 80 };
	static struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = 80 };
	static char name[] = "a.name.of.some.length.example";
	static struct addrinfo list[] = {
		{ .ai_family = AF_INET,
			.ai_socktype = SOCK_STREAM,
			.ai_addrlen = sizeof(in4),
			.ai_addr = (struct sockaddr *)&in4,
			.ai_canonname = name,
			.ai_next = &list[1] },
		{ .ai_family = AF_INET6,
			.ai_socktype = SOCK_DGRAM,
			.ai_addrlen = sizeof(in6),
			.ai_addr = (struct sockaddr *)&in6 },
	};

	*ret_list = list;
	return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct streams streams;
	struct call call = { .streams = &streams };
	struct sockaddr_storage addr;
	enum wasmedge_family family;
	struct wasmedge_place place;
	socklen_t len;
	uint16_t port;

	if (size < sizeof(call.arg))
		return 0;
	streams_init(&streams);
	for (size_t i = 0; i < CALL_ARGS_MAX; i++)
		call.arg[i] = guest_load_u32(data + 4 * i);
	call.mem.size = size - sizeof(call.arg);
	call.mem.data = malloc(call.mem.size + 1);
	assert(call.mem.data);
	memcpy(call.mem.data, data + sizeof(call.arg), call.mem.size);
	if (wasmedge_addr_load(&call.mem, call.arg[0], call.arg[1], &addr, &len) == 0) {
		assert(len <= sizeof(addr));
		if (wasmedge_place_find(&call.mem, call.arg[2], &place) == 0)
			(void)wasmedge_addr_store(&place, call.arg[3] & 1, &addr, &family, &port);
	}
	(void)wasmedge_sock_getaddrinfo(&call);
	free(call.mem.data);
	streams_deinit(&streams);
	return 0;
}
