/* SPDX-License-Identifier: MIT */
/* The table of calls, and addresses between the guest's memory and the host. */
#include <errno.h>

#include "base/lang.h"
#include "guest/wasmedge.h"

const struct call_entry wasmedge_table[] = {
	{ "sock_accept", "ii", wasmedge_sock_accept },
	{ "sock_bind", "iii", wasmedge_sock_bind },
	{ "sock_connect", "iii", wasmedge_sock_connect },
	{ "sock_getaddrinfo", "iiiiiiii", wasmedge_sock_getaddrinfo },
	{ "sock_getlocaladdr", "iiii", wasmedge_sock_getlocaladdr },
	{ "sock_getlocaladdr", "iii", wasmedge_sock_getlocaladdr_v2 },
	{ "sock_getpeeraddr", "iiii", wasmedge_sock_getpeeraddr },
	{ "sock_getpeeraddr", "iii", wasmedge_sock_getpeeraddr_v2 },
	{ "sock_getsockopt", "iiiii", wasmedge_sock_getsockopt },
	{ "sock_listen", "ii", wasmedge_sock_listen },
	{ "sock_open", "iii", wasmedge_sock_open },
	{ "sock_recv_from", "iiiiiii", wasmedge_sock_recv_from },
	{ "sock_recv_from", "iiiiiiii", wasmedge_sock_recv_from_v2 },
	{ "sock_send_to", "iiiiiii", wasmedge_sock_send_to },
	{ "sock_setsockopt", "iiiii", wasmedge_sock_setsockopt },
};
const size_t wasmedge_table_len = ARRAY_LEN(wasmedge_table);

/* The guest's description of an address: pointer and length. */
#define ADDRESS_SIZE 8
#define ADDRESS_LEN 4

/* In a storage, behind the family. */
#define STORAGE_ADDRESS 2

#define INET4_SIZE sizeof(struct in_addr)
#define INET6_SIZE sizeof(struct in6_addr)

int wasmedge_place_find(
	const struct guest_mem *m, uint32_t address, struct wasmedge_place *ret_place)
{
	struct wasmedge_place place;
	uint8_t *at;
	int r;

	r = guest_mem_at(m, address, 1, ADDRESS_SIZE, &at);
	if (r < 0)
		return r;
	place.len = guest_load_u32(at + ADDRESS_LEN);
	r = guest_mem_at(m, guest_load_u32(at), place.len, 1, &place.at);
	if (r < 0)
		return r;
	if (place.len != INET4_SIZE && place.len != INET6_SIZE &&
		place.len != WASMEDGE_STORAGE_SIZE)
		return -EINVAL;
	*ret_place = place;
	return 0;
}

int wasmedge_addr_load(const struct guest_mem *m, uint32_t address, uint32_t port,
	struct sockaddr_storage *ret_addr, socklen_t *ret_len)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_addr;
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret_addr;
	struct wasmedge_place place;
	uint16_t family;
	int r;

	r = wasmedge_place_find(m, address, &place);
	if (r < 0)
		return r;
	if (port > UINT16_MAX)
		return -EINVAL;
	family = place.len == INET4_SIZE ? WASMEDGE_INET4 : WASMEDGE_INET6;
	if (place.len == WASMEDGE_STORAGE_SIZE) {
		family = guest_load_u16(place.at);
		place.at += STORAGE_ADDRESS;
	}
	memset(ret_addr, 0, sizeof(*ret_addr));
	switch (family) {
	case WASMEDGE_INET4:
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		memcpy(&in4->sin_addr, place.at, INET4_SIZE);
		*ret_len = sizeof(*in4);
		return 0;
	case WASMEDGE_INET6:
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		memcpy(&in6->sin6_addr, place.at, INET6_SIZE);
		*ret_len = sizeof(*in6);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

int wasmedge_addr_store(const struct wasmedge_place *place, bool has_family,
	const struct sockaddr_storage *addr, enum wasmedge_family *ret_family, uint16_t *ret_port)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)addr;
	bool is_in4 = addr->ss_family == AF_INET;
	size_t size = is_in4 ? INET4_SIZE : INET6_SIZE;
	uint8_t *at = place->at;

	if (!is_in4 && addr->ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (place->len < size)
		return -ENOMEM;
	*ret_family = is_in4 ? WASMEDGE_INET4 : WASMEDGE_INET6;
	*ret_port = ntohs(is_in4 ? in4->sin_port : in6->sin6_port);
	if (has_family && place->len == WASMEDGE_STORAGE_SIZE) {
		guest_store_u16(at, (uint16_t)*ret_family);
		at += STORAGE_ADDRESS;
	}
	memcpy(at, is_in4 ? (const void *)&in4->sin_addr : &in6->sin6_addr, size);
	return 0;
}
