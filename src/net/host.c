/* SPDX-License-Identifier: MIT */
/*
 * From the outside in: bytes that no host has; what surrounds a host in a URL; the port; the host
 * itself. Each step may take for granted what those before it have refused.
 */
#include "net/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/parse.h"

#define NAME_MAX_LEN 253
#define LABEL_MAX_LEN 63
#define SHOWN_MAX 48 /* of a user's text in a message */
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const struct {
	const char *example;
	bool takes_port, needs_port, names;
} forms[] = {
	[HOST_ALONE] = { "localhost", .names = true },
	[HOST_ENDPOINT] = { "bore.pub or bore.pub:7835", .takes_port = true, .names = true },
	[HOST_RELAY] = { "bore.pub, bore.pub:7835 or https://bore.example", .takes_port = true,
		.names = true },
	[HOST_ADDRESS] = { "127.0.0.1 or ::1" },
	[HOST_ADDRESS_PORT] = { "127.0.0.1:9100 or [::1]:9100", true, .needs_port = true },
};

static const struct {
	const char *prefix;
	uint16_t port;
} schemes[] = {
	[HOST_HTTP] = { "http://", 80 },
	[HOST_HTTPS] = { "https://", 443 },
};

#define host_fail(ret_why, ...) ((void)snprintf(ret_why, HOST_WHY_MAX, __VA_ARGS__), -EINVAL)

/* A text in its parts; they point into it. */
struct parts {
	const char *host, *port; /* port: NULL, or behind the colon */
	size_t host_len;
	bool bracketed;
};

/* What is wrong with a part of the text, behind that part in quotes. */
static int host_fail_part(char *ret_why, const char *part, size_t len, const char *what)
{
	char shown[SHOWN_MAX];

	return host_fail(ret_why, "'%s' %s", log_escape(shown, sizeof shown, part, len), what);
}

static int host_check_bytes(const char *text, char *ret_why)
{
	if (!*text)
		return host_fail(ret_why, "it is empty");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x80)
			return host_fail(ret_why,
				"it isn't ASCII: write the name in punycode, such as "
				"xn--mnchen-3ya.example");
		if (c == ' ')
			return host_fail(ret_why, "there is a blank in it");
		if (c < 0x20 || c == 0x7f)
			return host_fail_part(ret_why, text, 1, "is a control character");
	}
	return 0;
}

/* A scheme, a user, a path: what a URL has around its host. */
static int host_check_surroundings(const char *text, char *ret_why)
{
	const char *scheme = strstr(text, "://"), *core = scheme ? scheme + 3 : text, *extra = text;
	size_t len = strcspn(core, "/?#"), extra_len;
	char shown[SHOWN_MAX], wanted[SHOWN_MAX];

	while (memchr(core, '@', len)) {
		core++;
		len--;
	}
	extra_len = (size_t)(core - text);
	if (!extra_len) {
		extra = core + len;
		extra_len = strlen(extra);
	}
	if (!extra_len)
		return 0;
	if (!len)
		return host_fail_part(ret_why, extra, extra_len, "names no host");
	return host_fail(ret_why, "'%s' is no part of it: write '%s'",
		log_escape(shown, sizeof shown, extra, extra_len),
		log_escape(wanted, sizeof wanted, core, len));
}

static int host_split(enum host_form form, const char *text, struct parts *ret_parts, char *ret_why)
{
	struct parts p = { .host = text };
	const char *colon = strchr(text, ':'), *end;

	if (*text == '[') {
		p.bracketed = true;
		p.host = text + 1;
		end = strchr(text, ']');
		if (!end)
			return host_fail(ret_why, "'[' has no ']'");
		if (end[1] != '\0' && end[1] != ':')
			return host_fail_part(
				ret_why, end + 1, strlen(end + 1), "behind ']' is no :PORT");
		p.host_len = (size_t)(end - p.host);
		p.port = end[1] ? end + 2 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		p.host_len = (size_t)(colon - text);
		p.port = colon + 1;
	} else {
		/* Several colons: an IPv6 address without brackets, and so without a port. */
		p.host_len = strlen(text);
	}
	if (!p.host_len)
		return host_fail(ret_why, "it names no host: write %s", forms[form].example);
	*ret_parts = p;
	return 0;
}

static int host_check_port(
	enum host_form form, const struct parts *p, uint16_t *ret_port, char *ret_why)
{
	uint16_t port = 0;

	if (!p->port)
		return forms[form].needs_port
			       ? host_fail(ret_why, "it has no port: write %s", forms[form].example)
			       : 0;
	if (!forms[form].takes_port)
		return host_fail_part(ret_why, p->port - 1, strlen(p->port - 1),
			"is no part of it: the host stands alone here");
	if (!*p->port)
		return host_fail(ret_why, "no port follows its ':'");
	if (parse_u16(p->port, strlen(p->port), &port) < 0 || (!port && !forms[form].needs_port))
		return host_fail_part(ret_why, p->port, strlen(p->port),
			forms[form].needs_port ? "is no port from 0 to 65535"
					       : "is no port from 1 to 65535");
	*ret_port = port;
	return 0;
}

/* As written, with or without a zone, which this machine need not have. */
static int host_check_ipv6(const char *host, char *ret_why)
{
	size_t len = strcspn(host, "%"), zone = strlen(host + len);
	char text[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (len < sizeof(text)) {
		memcpy(text, host, len);
		text[len] = '\0';
	}
	if (len >= sizeof(text) || inet_pton(AF_INET6, text, &in6) != 1)
		return host_fail_part(ret_why, host, strlen(host), "is no IPv6 address");
	if (zone == 1 || zone > IF_NAMESIZE)
		return host_fail_part(ret_why, host + len, zone, "names no interface");
	return 0;
}

static int host_check_name(const char *host, char *ret_why)
{
	size_t len = strlen(host), label;
	struct in_addr in4;

	/* The root's dot is none of the name's bytes. */
	if (len > NAME_MAX_LEN + (host[len - 1] == '.'))
		return host_fail(ret_why, "it has more than %d bytes", NAME_MAX_LEN);
	/* Digits and dots alone are no name that anybody has: RFC 1123, 2.1. */
	if (strspn(host, DIGITS ".") == len && inet_aton(host, &in4) != 1)
		return host_fail_part(ret_why, host, len, "is no IPv4 address");
	for (; *host; host += label) {
		label = strspn(host, LETTERS DIGITS "-_");
		if (host[label] && host[label] != '.')
			return host_fail_part(ret_why, host + label, 1,
				host[label] == ']' ? "has no '[' before it"
						   : "can't stand in a host name");
		if (!label)
			return host_fail(ret_why, "nothing stands before one of its dots");
		if (label > LABEL_MAX_LEN)
			return host_fail_part(
				ret_why, host, label, "has more than 63 bytes without a dot");
		label += host[label] == '.';
	}
	return 0;
}

static int host_check_host(
	enum host_form form, const struct parts *p, struct host *host, char *ret_why)
{
	int r;

	if (p->host_len >= sizeof(host->name))
		return host_fail(ret_why, "it has more than %d bytes", NAME_MAX_LEN);
	memcpy(host->name, p->host, p->host_len);
	host->name[p->host_len] = '\0';
	r = p->bracketed || strchr(host->name, ':') ? host_check_ipv6(host->name, ret_why)
						    : host_check_name(host->name, ret_why);
	if (r < 0 || forms[form].names)
		return r;
	if (addr_parse_ip(host->name, host->port, &host->addr) == 0)
		return 0;
	if (strchr(host->name, '%'))
		return host_fail_part(ret_why, host->name, p->host_len,
			"names an interface that this machine doesn't have");
	return host_fail(ret_why, "it is no IP address: write %s", forms[form].example);
}

/* A URL's scheme and path go to `host`, and what is between them to `core`. 0: it is no URL. */
static int host_take_url(
	const char *text, struct host *host, char core[HOST_TEXT_MAX], char *ret_why)
{
	const char *at, *path;
	size_t len;

	for (enum host_scheme scheme = HOST_HTTP; scheme <= HOST_HTTPS; scheme++) {
		len = strlen(schemes[scheme].prefix);
		if (strncasecmp(text, schemes[scheme].prefix, len) == 0)
			host->scheme = scheme;
		if (host->scheme)
			break;
	}
	if (!host->scheme)
		return 0;
	at = text + len;
	path = at + strcspn(at, "/?");
	if (strchr(path, '#'))
		return host_fail_part(ret_why, strchr(path, '#'), strlen(strchr(path, '#')),
			"is for browsers: leave it away");
	if (strlen(path) + (*path != '/') >= HOST_PATH_MAX)
		return host_fail(ret_why, "its path has more than %d bytes", HOST_PATH_MAX - 1);
	if (path == at)
		return host_fail_part(ret_why, text, strlen(text), "names no host");
	len = (size_t)(path - at);
	if (len >= HOST_TEXT_MAX)
		return host_fail(ret_why, "it has more than %d bytes", NAME_MAX_LEN);
	memcpy(core, at, len);
	core[len] = '\0';
	host->path[0] = '/';
	memcpy(host->path + (*path != '/'), path, strlen(path) + 1);
	return 1;
}

int host_parse(
	enum host_form form, const char *text, struct host *ret_host, char ret_why[HOST_WHY_MAX])
{
	char core[HOST_TEXT_MAX] = "";
	struct host host = { 0 };
	struct parts parts = { 0 };
	int r = host_check_bytes(text, ret_why);

	if (r == 0 && form == HOST_RELAY)
		r = host_take_url(text, &host, core, ret_why);
	if (r > 0) {
		text = core;
		r = 0;
	}
	if (r == 0)
		r = host_check_surroundings(text, ret_why);
	if (r == 0)
		r = host_split(form, text, &parts, ret_why);
	if (r == 0)
		r = host_check_port(form, &parts, &host.port, ret_why);
	if (r == 0)
		r = host_check_host(form, &parts, &host, ret_why);
	if (r == 0 && host.scheme && !host.port)
		host.port = schemes[host.scheme].port;
	if (r == 0)
		*ret_host = host;
	return r;
}

int host_parse_peer(const char *text, struct addr *ret_addr)
{
	char why[HOST_WHY_MAX];
	struct host host = { 0 };

	if (strchr(text, '%') || host_parse(HOST_ADDRESS_PORT, text, &host, why) < 0 || !host.port)
		return -EINVAL;
	*ret_addr = host.addr;
	return 0;
}

const char *host_format(const char *name, uint16_t port, char text[HOST_TEXT_MAX])
{
	bool v6 = strchr(name, ':') != NULL;

	(void)snprintf(text, HOST_TEXT_MAX, "%s%s%s:%u", v6 ? "[" : "", name, v6 ? "]" : "", port);
	return text;
}

const char *host_format_relay(const struct host *host, char text[HOST_RELAY_MAX])
{
	const char *path = strcmp(host->path, "/") == 0 ? "" : host->path;
	bool v6 = strchr(host->name, ':') != NULL;

	if (!host->scheme)
		return host_format(host->name, host->port, text);
	if (host->port == schemes[host->scheme].port)
		(void)snprintf(text, HOST_RELAY_MAX, "%s%s%s%s%s", schemes[host->scheme].prefix,
			v6 ? "[" : "", host->name, v6 ? "]" : "", path);
	else
		(void)snprintf(text, HOST_RELAY_MAX, "%s%s%s%s:%u%s", schemes[host->scheme].prefix,
			v6 ? "[" : "", host->name, v6 ? "]" : "", host->port, path);
	return text;
}

bool host_equal(const struct host *a, const struct host *b)
{
	return strcasecmp(a->name, b->name) == 0 && a->port == b->port && a->scheme == b->scheme &&
	       strcmp(a->path, b->path) == 0;
}

int host_check(int form, const char *text, char *ret_why)
{
	struct host host;

	return host_parse((enum host_form)form, text, &host, ret_why);
}

struct host host_of(enum host_form form, const char *text)
{
	struct host host = { 0 };
	char why[HOST_WHY_MAX];

	/* It can still fail: the interface of a zone may be gone. Then nothing can be joined. */
	(void)host_parse(form, text, &host, why);
	return host;
}
