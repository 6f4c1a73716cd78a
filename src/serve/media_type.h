/* SPDX-License-Identifier: MIT */
/* A file's media type by its name, as browsers want it. */
#ifndef SERVE_MEDIA_TYPE_H
#define SERVE_MEDIA_TYPE_H

/* "application/octet-stream" for what is not known. */
const char *media_type_of(const char *name);

#endif
