/* SPDX-License-Identifier: MIT */
/*
 * Recorded requests as an HTTP Archive 1.2 (the W3C's draft of "HAR"), which browsers, proxies and
 * tools for load read.
 */
#ifndef OS_HAR_H
#define OS_HAR_H

#include <jansson.h>
#include <stdbool.h>

struct exchange;

/* One more entry; nothing where there is no request. Without `secrets` the values of fields that
 * let somebody in (Authorization, Cookie and their like) are left out. */
void har_append(json_t *entries, const struct exchange *e, bool secrets);

/* The archive, of entries that are taken over. NULL: out of memory. */
json_t *har_json(json_t *entries);

#endif
