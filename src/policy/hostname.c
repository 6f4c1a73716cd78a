/* SPDX-License-Identifier: MIT */
#include "policy/hostname.h"

#include <errno.h>
#include <string.h>

#define DIGITS "0123456789"
#define HEX DIGITS "abcdef"
#define LETTERS "abcdefghijklmnopqrstuvwxyz"

/* Names the first fault of a name in lower case and without the root's dot; NULL: there is none. */
static const char *hostname_fault(const char *name, size_t len)
{
	size_t label;

	for (size_t at = 0; at <= len; at += label + 1) {
		label = strspn(name + at, LETTERS DIGITS "-_");
		if (at + label < len && name[at + label] != '.')
			return "a name has only letters, digits, '-', '_' and dots";
		if (label == 0)
			return "it has an empty label: a dot at its start, or two in a row";
		if (label > HOSTNAME_LABEL_MAX)
			return "it has more than 63 bytes without a dot, which no name may";
	}
	return NULL;
}

int hostname_parse(const char *text, size_t len, char ret_name[HOSTNAME_SIZE], const char **ret_why)
{
	char name[HOSTNAME_SIZE];

	if (len > 0 && text[len - 1] == '.')
		len--;
	*ret_why = len == 0             ? "it names no host"
		   : len > HOSTNAME_MAX ? "it has more than 253 bytes, which no name may"
					: NULL;
	if (*ret_why)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if ((unsigned char)c >= 0x80) {
			*ret_why = "it isn't ASCII: write the name in punycode, such as "
				   "xn--mnchen-3ya.example";
			return -EINVAL;
		}
		/* Not tolower(3): what a locale thinks of a letter must not matter. */
		name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	name[len] = '\0';
	*ret_why = hostname_fault(name, len);
	if (*ret_why)
		return -EINVAL;
	memcpy(ret_name, name, len + 1);
	return 0;
}

bool hostname_is_numeric(const char *name)
{
	const char *dot = strrchr(name, '.'), *label = dot ? dot + 1 : name;

	if (label[0] == '0' && label[1] == 'x')
		return label[2 + strspn(label + 2, HEX)] == '\0';
	return label[strspn(label, DIGITS)] == '\0';
}

bool hostname_is_below(const char *name, const char *domain)
{
	size_t len = strlen(name), domain_len = strlen(domain);

	return len > domain_len && name[len - domain_len - 1] == '.' &&
	       strcmp(name + len - domain_len, domain) == 0;
}

bool hostname_is_localhost(const char *name)
{
	return strcmp(name, "localhost") == 0 || hostname_is_below(name, "localhost");
}
