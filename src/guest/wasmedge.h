/* SPDX-License-Identifier: MIT */
/*
 * WasmEdge's socket calls: those that preview 1 lacks, as programs for WasmEdge import them from
 * the same module (second-state/wasmedge_wasi_socket). There are two generations, and some
 * functions have other arguments in the second, which is why a function is chosen by the import's
 * type. Where the types are alike we take what either generation takes.
 *
 * The first TCP socket that is bound becomes the listening socket that we were given; wherever the
 * program wants to listen, its visitors come through that one. All others are asked for at the
 * broker where there is one (broker/broker_client.h), and then the program knows no UDP.
 */
#ifndef GUEST_WASMEDGE_H
#define GUEST_WASMEDGE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/broker_client.h"
#include "guest/call.h"

/* One row per name and type. None of these calls returns CALL_FORWARD. */
extern const struct call_entry wasmedge_table[];
extern const size_t wasmedge_table_len;

enum wasmedge_family { WASMEDGE_UNSPEC, WASMEDGE_INET4, WASMEDGE_INET6 };

enum wasmedge_socktype { WASMEDGE_ANY, WASMEDGE_DGRAM, WASMEDGE_STREAM };

/*
 * An address in the guest's memory is a pointer and a length: 4 bytes of IPv4, 16 of IPv6, or, in
 * the second generation, a storage of 128 with the family before them. The port goes beside it.
 */
#define WASMEDGE_STORAGE_SIZE 128

/* Where an address is to go, checked. */
struct wasmedge_place {
	uint8_t *at;
	uint32_t len;
};

/* Reads an address. -EFAULT, -EINVAL for another length or port, -EAFNOSUPPORT. */
int wasmedge_addr_load(const struct guest_mem *m, uint32_t address, uint32_t port,
	struct sockaddr_storage *ret_addr, socklen_t *ret_len);

/* Finds the place for an address, of any of the lengths above: -EFAULT or -EINVAL. */
int wasmedge_place_find(
	const struct guest_mem *m, uint32_t address, struct wasmedge_place *ret_place);

/*
 * Writes an IPv4 or IPv6 address; into a storage with its family if has_family. -ENOMEM if it
 * doesn't fit, -EAFNOSUPPORT for another family.
 */
int wasmedge_addr_store(const struct wasmedge_place *place, bool has_family,
	const struct sockaddr_storage *addr, enum wasmedge_family *ret_family, uint16_t *ret_port);

/*
 * Behind the wall sockets are asked for (guest/wasmedge_broker.c); where there is no broker to ask,
 * none is connected. They wait as long as the guest may, and return what a
 * call returns.
 */
bool wasmedge_asks(const struct call *c);
struct broker_client wasmedge_broker_client(struct call *c);
int wasmedge_broker_open(struct call *c, int family, bool datagram, uint32_t *ret_number);
int wasmedge_broker_bind(
	struct call *c, struct stream *stream, const struct sockaddr *addr, socklen_t len);
int wasmedge_broker_connect(
	struct call *c, struct stream *stream, const struct sockaddr *addr, socklen_t len);

/* Gives a socket the options that the guest has set on `from` while that was unmade. */
void wasmedge_opt_carry(const struct stream *from, int to_fd);

/* The socket that argument 0 names, listening or not: -EBADF, -ENOTSOCK. */
int wasmedge_find_socket(const struct call *c, struct stream **ret_stream);

int wasmedge_sock_open(struct call *c);
int wasmedge_sock_bind(struct call *c);
int wasmedge_sock_listen(struct call *c);
int wasmedge_sock_accept(struct call *c);
int wasmedge_sock_connect(struct call *c);
int wasmedge_sock_recv_from(struct call *c);
int wasmedge_sock_recv_from_v2(struct call *c);
int wasmedge_sock_send_to(struct call *c);
int wasmedge_sock_getlocaladdr(struct call *c);
int wasmedge_sock_getlocaladdr_v2(struct call *c);
int wasmedge_sock_getpeeraddr(struct call *c);
int wasmedge_sock_getpeeraddr_v2(struct call *c);
int wasmedge_sock_getsockopt(struct call *c);
int wasmedge_sock_setsockopt(struct call *c);
int wasmedge_sock_getaddrinfo(struct call *c);

#endif
