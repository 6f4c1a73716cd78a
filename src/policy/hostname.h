/* SPDX-License-Identifier: MIT */
/*
 * Names of hosts as rules compare them. Two spellings of a name are one: letters are lower case,
 * and the root's dot at the end is left out (RFC 1034, 3.1). What is no name in ASCII is refused,
 * so that no two readers of a name can disagree on which one it is.
 */
#ifndef POLICY_HOSTNAME_H
#define POLICY_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

#define HOSTNAME_MAX 253      /* bytes, without the root's dot: RFC 1035, 2.3.4 */
#define HOSTNAME_LABEL_MAX 63 /* between two dots: likewise */
#define HOSTNAME_SIZE (HOSTNAME_MAX + 1)

/*
 * Labels of letters, digits, '-' and '_' with dots between them. -EINVAL: *ret_why is a clause that
 * says what is wrong and what to write ("it has an empty label: …").
 */
int hostname_parse(
	const char *text, size_t len, char ret_name[HOSTNAME_SIZE], const char **ret_why);

/*
 * The last label is a number, so no top-level domain: the C library reads such a name as an IPv4
 * address, or else it is a mistake (RFC 1123, 2.1; WHATWG URL, "ends in a number").
 */
bool hostname_is_numeric(const char *name);

/* A subdomain of `domain`, at any depth, and not `domain` itself. Both are of hostname_parse(). */
bool hostname_is_below(const char *name, const char *domain);

/* "localhost", and all below it, are this machine: RFC 6761, 6.3. */
bool hostname_is_localhost(const char *name);

#endif
