/* SPDX-License-Identifier: MIT */
/*
 * An IP address with a port, and its texts. An IPv4-mapped IPv6 address is always turned into the
 * IPv4 one, so that limits and logs see one address for one host.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDR_TEXT_MAX 64  /* "[v6%scope]:port" and its NUL */
#define ADDR_HOST_MAX 256 /* a DNS name and its NUL (RFC 1035) */

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	};
};

/* What a limit per address counts by: IPv4 /32, IPv6 /64. Comparable with memcmp, no padding. */
struct addr_key {
	uint8_t bytes[9]; /* family, then 4 or 8 bytes */
};

/* Copies what the kernel gave, mapped addresses normalised. -EAFNOSUPPORT for another family. */
int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr);

/* A literal address without port ("::1", "[::1]", "127.0.0.1"). -EINVAL. */
int addr_parse_ip(const char *text, uint16_t port, struct addr *ret_addr);

socklen_t addr_len(const struct addr *addr);
uint16_t addr_port(const struct addr *addr);
void addr_set_port(struct addr *addr, uint16_t port);
bool addr_is_loopback(const struct addr *addr);
bool addr_is_any(const struct addr *addr);
bool addr_equal(const struct addr *a, const struct addr *b);

/* Sorts so that IPv6 and IPv4 take turns as long as there are both, beginning with the family of
 * the first, each in the order in which it stands (RFC 8305, 4). */
void addr_interleave(struct addr *addrs, size_t count);

struct addr_key addr_limit_key(const struct addr *addr);

/* "ip:port" or "[v6]:port"; addr_format_ip() without the port. Return `ret_text`. */
char *addr_format(const struct addr *addr, char ret_text[ADDR_TEXT_MAX]);
char *addr_format_ip(const struct addr *addr, char ret_text[ADDR_TEXT_MAX]);

/* The local end of a socket. 0 or negative errno. */
int addr_of_socket(int fd, struct addr *ret_addr);

#endif
