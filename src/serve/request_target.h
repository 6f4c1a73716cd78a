/* SPDX-License-Identifier: MIT */
/* The target of a request line (RFC 9112, 3.2), and the encoding of its path (RFC 3986, 2.1). */
#ifndef SERVE_REQUEST_TARGET_H
#define SERVE_REQUEST_TARGET_H

/*
 * Cuts a target at its query: *ret_path begins with a slash, *ret_query is behind the question
 * mark, or NULL. Of a target with an authority ("http://host/path") that is left out. -EINVAL for
 * every other form, and for control characters.
 */
int request_target_split(char *target, char **ret_path, char **ret_query);

/* Decodes "%XX" in place. -EINVAL for a broken one, and for a NUL. */
int request_target_decode(char *path);

#endif
