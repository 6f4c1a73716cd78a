/* SPDX-License-Identifier: MIT */
/* Entity tags (RFC 9110, 8.8.3): names of a file's contents. */
#ifndef MHD_ETAG_H
#define MHD_ETAG_H

#include <stdbool.h>

/* Whether an If-None-Match header names this entity tag, strong or weak. */
bool etag_matches(const char *header, const char *etag);

/* Whether an If-Match header does, where a weak one doesn't count (RFC 9110, 13.1.1): what it names
 * may be replaced. */
bool etag_matches_strongly(const char *header, const char *etag);

#endif
