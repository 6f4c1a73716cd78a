/* SPDX-License-Identifier: MIT */
/*
 * What names the contents of something that two may change at the same time, a file or the network
 * policy: 128 bits of its SHA-256. Who changes it says which version he has seen, and is refused
 * where it is another one by now, so that nobody undoes what he has never seen. Over HTTP it is an
 * entity tag (RFC 9110, 8.8.3), and If-Match says it.
 */
#ifndef OS_VERSION_H
#define OS_VERSION_H

#include <stdbool.h>
#include <stddef.h>

#define VERSION_MAX 33 /* in hex, and a NUL */
#define VERSION_ETAG_MAX (VERSION_MAX + 2)

/* 0 or -ENOMEM. */
int version_of(const void *data, size_t len, char ret_version[VERSION_MAX]);

/* Returns ret_etag: the version in quotes. */
const char *version_etag(const char *version, char ret_etag[VERSION_ETAG_MAX]);

/* Whether If-Match, as it was sent, lets this version be replaced. `if_match` NULL: any one.
 * `version` NULL: there is nothing; "": something that was not read, and which "*" alone lets go.
 */
bool version_may_go(const char *version, const char *if_match);

#endif
