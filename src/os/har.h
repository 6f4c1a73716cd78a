/* SPDX-License-Identifier: MIT */
/*
 * Recorded requests as an HTTP Archive 1.2 (the W3C's draft of "HAR"), which browsers, proxies and
 * tools for load read.
 */
#ifndef OS_HAR_H
#define OS_HAR_H

#include <stdbool.h>

struct exchange;

#define HAR_COMMA ","
#define HAR_END "]}}"

/* The archive as text, from malloc(3): what stands before the entries, between two, and behind
 * them. An archive of all is never in memory: heads of nothing but short fields become a hundred
 * times as long in JSON's objects. NULL: out of memory. */
char *har_begin(void);
/* One entry. Without `secrets` the values of fields that let somebody in (Authorization, Cookie and
 * their like) are left out. */
char *har_entry(const struct exchange *e, bool secrets);

/* Whether there is a request, of which an entry can be made. */
bool har_has(const struct exchange *e);

#endif
