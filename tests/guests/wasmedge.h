/* SPDX-License-Identifier: MIT */
/* WasmEdge's socket calls as programs for it import them; V2 stands for the second generation. */
#ifndef WASMEDGE_H
#define WASMEDGE_H

#include <stdint.h>

#define IMPORT(name) \
	__attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) uint32_t name

enum { UNSPEC, INET4, INET6 };
enum { ANY, DGRAM, STREAM };

struct address {
	const void *at;
	uint32_t len;
};

struct buffer {
	const void *at;
	uint32_t len;
};

/* What sock_getaddrinfo() fills: addresses of one kind, in a list. */
struct info {
	uint16_t flags;
	uint8_t family, socktype, protocol;
	uint32_t addrlen;
	struct place {
		uint8_t family;
		uint32_t len;
		uint8_t *data;
	} * addr;
	char *name;
	uint32_t name_len;
	struct info *next;
};

IMPORT(sock_open)(uint32_t family, uint32_t type, uint32_t *fd);
IMPORT(sock_bind)(uint32_t fd, const struct address *address, uint32_t port);
IMPORT(sock_listen)(uint32_t fd, uint32_t backlog);
IMPORT(sock_connect)(uint32_t fd, const struct address *address, uint32_t port);
IMPORT(sock_recv)
(uint32_t fd, const struct buffer *buffers, uint32_t n, uint32_t flags, uint32_t *len,
	uint16_t *ret_flags);
IMPORT(sock_send)
(uint32_t fd, const struct buffer *buffers, uint32_t n, uint32_t flags, uint32_t *len);
IMPORT(sock_send_to)
(uint32_t fd, const struct buffer *buffers, uint32_t n, const struct address *address,
	uint32_t port, uint32_t flags, uint32_t *len);
IMPORT(sock_shutdown)(uint32_t fd, uint32_t how);
IMPORT(sock_getsockopt)(uint32_t fd, uint32_t level, uint32_t name, void *value, uint32_t *size);
IMPORT(sock_setsockopt)
(uint32_t fd, uint32_t level, uint32_t name, const void *value, uint32_t size);
IMPORT(sock_getaddrinfo)
(const char *node, uint32_t node_len, const char *service, uint32_t service_len, const void *hint,
	void *list, uint32_t max, uint32_t *n);
#ifdef V2
IMPORT(sock_accept)(uint32_t fd, uint32_t flags, uint32_t *connection);
IMPORT(sock_recv_from)
(uint32_t fd, const struct buffer *buffers, uint32_t n, const struct address *address,
	uint32_t flags, uint16_t *port, uint32_t *len, uint16_t *ret_flags);
IMPORT(sock_getlocaladdr)(uint32_t fd, const struct address *address, uint32_t *port);
IMPORT(sock_getpeeraddr)(uint32_t fd, const struct address *address, uint32_t *port);
#else
IMPORT(sock_accept)(uint32_t fd, uint32_t *connection);
IMPORT(sock_recv_from)
(uint32_t fd, const struct buffer *buffers, uint32_t n, const struct address *address,
	uint32_t flags, uint32_t *len, uint16_t *ret_flags);
IMPORT(sock_getlocaladdr)
(uint32_t fd, const struct address *address, uint32_t *family, uint32_t *port);
IMPORT(sock_getpeeraddr)
(uint32_t fd, const struct address *address, uint32_t *family, uint32_t *port);
#endif

#endif
