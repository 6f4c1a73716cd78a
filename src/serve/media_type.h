/* SPDX-License-Identifier: MIT */
/* A file's media type by its name, as browsers want it. */
#ifndef SERVE_MEDIA_TYPE_H
#define SERVE_MEDIA_TYPE_H

#define MEDIA_TYPE_UNKNOWN "application/octet-stream"

const char *media_type_of(const char *name);

#endif
