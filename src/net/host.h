/* SPDX-License-Identifier: MIT */
/*
 * The texts by which a user names a host, wherever they come from: options, variables,
 * wasmrun.toml, the API. One parser, so that what can't be a host is refused at once, with words
 * that name the part that is wrong, and never becomes a question to a name server or a piece of a
 * log line.
 *
 * A host is an IPv4 address in any form of inet_aton(3), an IPv6 address with or without brackets
 * and zone (RFC 4007), or a name: labels of 1 to 63 letters, digits, '-' and '_', at most 253
 * bytes, and the root's dot may follow (RFC 1035, 2.3.4; the underscore is in use).
 */
#ifndef NET_HOST_H
#define NET_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"

#define HOST_WHY_MAX 160 /* an explanation and its NUL; what it quotes is escaped */

/* Of HOST:PORT and its NUL. */
#define HOST_TEXT_MAX (ADDR_HOST_MAX + (sizeof("[]:65535") - 1))

#define HOST_PATH_MAX 128 /* of a URL, with its NUL */

/* Of a relay and its NUL. */
#define HOST_RELAY_MAX (sizeof("https://") - 1 + HOST_TEXT_MAX + HOST_PATH_MAX)

enum host_form {
	HOST_ALONE,    /* HOST */
	HOST_ENDPOINT, /* HOST[:PORT], an IPv6 address with a port in brackets */
	HOST_RELAY, /* as that, or the URL of an HTTP front: http://HOST[:PORT][/PATH], https:// */
	HOST_ADDRESS,      /* an IP address alone */
	HOST_ADDRESS_PORT, /* IP:PORT, where 0 is the kernel's choice */
};

enum host_scheme {
	HOST_RAW, /* no URL */
	HOST_HTTP,
	HOST_HTTPS,
};

struct host {
	char name[ADDR_HOST_MAX]; /* without brackets */
	uint16_t port; /* 0: none is named, but for HOST_ADDRESS_PORT; a URL has always one */
	enum host_scheme scheme;
	char path[HOST_PATH_MAX]; /* of a URL, with its query; begins with '/' */
	struct addr addr;         /* with the port; HOST_ADDRESS and HOST_ADDRESS_PORT only */
};

/* -EINVAL: ret_why says why, as a clause ("it is empty"). */
int host_parse(
	enum host_form form, const char *text, struct host *ret_host, char ret_why[HOST_WHY_MAX]);

/*
 * A literal address with its port, as addr_format() writes it, from a peer: "192.0.2.1:80" or
 * "[2001:db8::1]:80". A zone is of no meaning on another machine, and refused. -EINVAL.
 */
int host_parse_peer(const char *text, struct addr *ret_addr);

/* The way back: "name:port", an IPv6 address in brackets (RFC 3986, 3.2.2). Returns `text`. */
const char *host_format(const char *name, uint16_t port, char text[HOST_TEXT_MAX]);

/* The same for a relay, "name:port" or its URL without the scheme's own port. Returns `text`. */
const char *host_format_relay(const struct host *host, char text[HOST_RELAY_MAX]);

/* The same place: names in any case of letters. */
bool host_equal(const struct host *a, const struct host *b);

/* host_parse() as the `check` of a struct option_def: `form` is an enum host_form. */
int host_check(int form, const char *text, char *ret_why);

/* What a text is that host_check() has passed. */
struct host host_of(enum host_form form, const char *text);

#endif
