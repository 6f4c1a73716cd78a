/* SPDX-License-Identifier: MIT */
/*
 * Names: sock_getaddrinfo(). The guest brings a list of empty places for the answers, linked in its
 * own memory, each with room for an address and a name. The links are the guest's and may form a
 * circle: each step is checked, and there are no more steps than answers.
 */
#include <errno.h>
#include <netdb.h>
#include <stddef.h>

#include "base/lang.h"
#include "broker/broker_names.h"
#include "guest/lookup.h"
#include "guest/wasi.h"
#include "guest/wasmedge.h"

/* The longest name and service that are looked up. */
#define NAME_MAX_LEN 255
#define SERVICE_MAX_LEN 31

/* addrinfo: hint and answer. */
#define ADDRINFO_SIZE 28
#define ADDRINFO_FLAGS 0     /* u16 */
#define ADDRINFO_FAMILY 2    /* u8, enum wasmedge_family */
#define ADDRINFO_SOCKTYPE 3  /* u8, enum wasmedge_socktype */
#define ADDRINFO_PROTOCOL 4  /* u8 */
#define ADDRINFO_ADDRLEN 8   /* u32 */
#define ADDRINFO_ADDR 12     /* u32, of a sockaddr */
#define ADDRINFO_NAME 16     /* u32 */
#define ADDRINFO_NAME_LEN 20 /* u32 */
#define ADDRINFO_NEXT 24     /* u32 */

/* sockaddr, with its data elsewhere: the host's structure without the family. */
#define SOCKADDR_SIZE 12
#define SOCKADDR_FAMILY 0   /* u8 */
#define SOCKADDR_DATA_LEN 4 /* u32 */
#define SOCKADDR_DATA 8     /* u32 */

static const int families[] = {
	[WASMEDGE_UNSPEC] = AF_UNSPEC, [WASMEDGE_INET4] = AF_INET, [WASMEDGE_INET6] = AF_INET6
};
static const int socktypes[] = {
	[WASMEDGE_ANY] = 0, [WASMEDGE_DGRAM] = SOCK_DGRAM, [WASMEDGE_STREAM] = SOCK_STREAM
};
static const int protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP };

/* Bit by bit, from the first. */
static const int flags[] = { AI_PASSIVE, AI_CANONNAME, AI_NUMERICHOST, AI_NUMERICSERV, AI_V4MAPPED,
	AI_ALL, AI_ADDRCONFIG };

/* WasmEdge's error codes for names, which preview 1 doesn't have. */
static const struct {
	int host;
	uint16_t wasi;
} errors[] = {
	{ EAI_AGAIN, 78 },
	{ EAI_BADFLAGS, 79 },
	{ EAI_FAIL, 80 },
	{ EAI_FAMILY, 81 },
	{ EAI_MEMORY, 82 },
	{ EAI_NODATA, 83 },
	{ EAI_NONAME, 84 },
	{ EAI_SERVICE, 85 },
	{ EAI_SOCKTYPE, 86 },
	{ EAI_SYSTEM, 87 },
};

/* Of the broker, or of the machine's resolver where there is no wall. */
static int wasmedge_names_ask(struct call *c, const char *node, const char *service,
	const struct addrinfo *hint, struct addrinfo **ret_list)
{
	const struct broker_client client = wasmedge_broker_client(c);

	return wasmedge_asks(c) ? broker_names_get(&client, node, service, hint, ret_list)
				: lookup_get(c, node, service, hint, ret_list);
}

static void wasmedge_names_free(struct call *c, struct addrinfo *list)
{
	if (wasmedge_asks(c))
		broker_names_free(list);
	else if (list)
		freeaddrinfo(list);
}

/* The index of a host's number in a table, which has it. */
static uint8_t wasmedge_names_index(const int *table, size_t len, int value)
{
	for (size_t i = 0; i < len; i++)
		if (table[i] == value)
			return (uint8_t)i;
	return 0;
}

/* A text of the guest's, which may or may not end in a NUL. */
static int wasmedge_names_load_text(
	const struct guest_mem *m, uint32_t address, uint32_t len, char *text, size_t max)
{
	uint8_t *at;
	int r = guest_mem_at(m, address, len, 1, &at);

	if (r < 0)
		return r;
	len = (uint32_t)strnlen((const char *)at, len);
	if (len > max)
		return -ENAMETOOLONG;
	memcpy(text, at, len);
	text[len] = '\0';
	return 0;
}

/* 0 or the host's EAI_…. */
static int wasmedge_names_load_hint(const uint8_t *at, struct addrinfo *hint)
{
	uint16_t bits = guest_load_u16(at + ADDRINFO_FLAGS);
	uint8_t family = at[ADDRINFO_FAMILY], socktype = at[ADDRINFO_SOCKTYPE];
	uint8_t protocol = at[ADDRINFO_PROTOCOL];

	if (bits >> ARRAY_LEN(flags))
		return EAI_BADFLAGS;
	if (family >= ARRAY_LEN(families))
		return EAI_FAMILY;
	if (socktype >= ARRAY_LEN(socktypes) || protocol >= ARRAY_LEN(protocols))
		return EAI_SOCKTYPE;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (bits & 1 << i)
			hint->ai_flags |= flags[i];
	hint->ai_family = families[family];
	hint->ai_socktype = socktypes[socktype];
	hint->ai_protocol = protocols[protocol];
	return 0;
}

/* The guest's address structure at the place that out names. */
static int wasmedge_names_store_addr(
	const struct guest_mem *m, const struct addrinfo *answer, const uint8_t *out)
{
	const uint8_t *from = (const uint8_t *)answer->ai_addr + offsetof(struct sockaddr, sa_data);
	uint32_t len = (uint32_t)(answer->ai_addrlen - offsetof(struct sockaddr, sa_data));
	uint8_t *at, *data;
	int r;

	r = guest_mem_at(m, guest_load_u32(out + ADDRINFO_ADDR), 1, SOCKADDR_SIZE, &at);
	if (r < 0)
		return r;
	/* What the guest says of the data's length is 14 even for IPv6; WasmEdge never looked. */
	r = guest_mem_at(m, guest_load_u32(at + SOCKADDR_DATA), len, 1, &data);
	if (r < 0)
		return r;
	memcpy(data, from, len);
	at[SOCKADDR_FAMILY] =
		wasmedge_names_index(families, ARRAY_LEN(families), answer->ai_family);
	guest_store_u32(at + SOCKADDR_DATA_LEN, len);
	return 0;
}

/* As much of the name as there is room for. */
static int wasmedge_names_store_name(const struct guest_mem *m, const char *name, uint8_t *out)
{
	uint32_t room = guest_load_u32(out + ADDRINFO_NAME_LEN);
	uint32_t len = name ? (uint32_t)strnlen(name, room) : 0;
	uint8_t *at;
	int r = guest_mem_at(m, guest_load_u32(out + ADDRINFO_NAME), len, 1, &at);

	if (r < 0)
		return r;
	if (len > 0)
		memcpy(at, name, len);
	guest_store_u32(out + ADDRINFO_NAME_LEN, len);
	return 0;
}

static int wasmedge_names_store_one(
	const struct guest_mem *m, const struct addrinfo *answer, uint8_t *out)
{
	int r = wasmedge_names_store_addr(m, answer, out);

	if (r == 0)
		r = wasmedge_names_store_name(m, answer->ai_canonname, out);
	if (r < 0)
		return r;
	guest_store_u16(out + ADDRINFO_FLAGS, 0);
	out[ADDRINFO_FAMILY] =
		wasmedge_names_index(families, ARRAY_LEN(families), answer->ai_family);
	out[ADDRINFO_SOCKTYPE] =
		wasmedge_names_index(socktypes, ARRAY_LEN(socktypes), answer->ai_socktype);
	out[ADDRINFO_PROTOCOL] =
		wasmedge_names_index(protocols, ARRAY_LEN(protocols), answer->ai_protocol);
	guest_store_u32(out + ADDRINFO_ADDRLEN, (uint32_t)answer->ai_addrlen);
	return 0;
}

/* Fills the guest's list, from its first place at address, with at most max answers. */
static int wasmedge_names_store_all(const struct guest_mem *m, const struct addrinfo *answer,
	uint32_t address, uint32_t max, uint32_t *ret_n)
{
	uint32_t n = 0;
	uint8_t *out;
	int r;

	for (; answer && n < max; answer = answer->ai_next) {
		if (answer->ai_family != AF_INET && answer->ai_family != AF_INET6)
			continue;
		r = guest_mem_at(m, address, 1, ADDRINFO_SIZE, &out);
		if (r == 0)
			r = wasmedge_names_store_one(m, answer, out);
		if (r < 0)
			return r;
		address = guest_load_u32(out + ADDRINFO_NEXT);
		n++;
	}
	*ret_n = n;
	return 0;
}

static int wasmedge_names_error(int error)
{
	if (error == EAI_SYSTEM && (errno == ETIME || errno == ESHUTDOWN))
		return call_failed(-errno);
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].host == error)
			return CALL_CODE + errors[i].wasi;
	return CALL_CODE + WASI_EIO;
}

/* sock_getaddrinfo(node, node_len, service, service_len, hint, ret_list, max, ret_n) */
int wasmedge_sock_getaddrinfo(struct call *c)
{
	struct addrinfo *answers = NULL;
	char node[NAME_MAX_LEN + 1], service[SERVICE_MAX_LEN + 1];
	struct addrinfo hint = { 0 };
	uint8_t *in, *list, *ret_n;
	uint32_t n = 0;
	int r;

	r = wasmedge_names_load_text(&c->mem, c->arg[0], c->arg[1], node, NAME_MAX_LEN);
	if (r == 0)
		r = wasmedge_names_load_text(
			&c->mem, c->arg[2], c->arg[3], service, SERVICE_MAX_LEN);
	if (r == 0)
		r = guest_mem_at(&c->mem, c->arg[4], 1, ADDRINFO_SIZE, &in);
	if (r == 0)
		r = guest_mem_at(&c->mem, c->arg[5], 1, sizeof(uint32_t), &list);
	if (r == 0)
		r = guest_mem_at(&c->mem, c->arg[7], 1, sizeof(uint32_t), &ret_n);
	if (r != 0)
		return r == -ENAMETOOLONG ? wasmedge_names_error(EAI_NONAME) : r;
	r = wasmedge_names_load_hint(in, &hint);
	if (r == 0)
		r = wasmedge_names_ask(
			c, *node ? node : NULL, *service ? service : NULL, &hint, &answers);
	if (r != 0)
		return wasmedge_names_error(r);
	r = wasmedge_names_store_all(&c->mem, answers, guest_load_u32(list), c->arg[6], &n);
	wasmedge_names_free(c, answers);
	if (r < 0)
		return r;
	guest_store_u32(ret_n, n);
	return 0;
}
