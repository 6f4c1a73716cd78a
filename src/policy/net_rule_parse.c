/* SPDX-License-Identifier: MIT */
/*
 * Reading goes from the outside in: bytes that no rule has, what belongs to a URL, the ports, the
 * host. Each step takes for granted what those before it have refused. Every refusal names the
 * reason, and where it can be known what was meant, the rule to write.
 */
#include "policy/net_rule.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/lang.h"
#include "base/log.h"
#include "base/parse.h"

#define SHOWN_MAX 80 /* of a user's text in a message */
#define DIGITS "0123456789"
#define PORT_MAX 65535

/* Room for brackets and the like, so that what is too long for a rule is seen to be. */
#define BETTER_MAX (NET_RULE_TEXT_MAX + 8)

/* What is wrong with a text, and perhaps what was meant by it. */
struct net_rule_fault {
	char reason[NET_RULE_WHY_MAX - BETTER_MAX - sizeof(": write ''")];
	char better[BETTER_MAX]; /* offered if it is a rule; "": nothing is */
};

/* A rule's text in its parts, which point into it. */
struct net_rule_parts {
	const char *host;
	size_t host_len;
	const char *tail; /* behind the host and its brackets: a colon and the ports, or "" */
	bool bracketed;
};

static const struct {
	const char *name;
	uint16_t port;
} net_rule_schemes[] = {
	{ "http", 80 },
	{ "https", 443 },
	{ "ws", 80 },
	{ "wss", 443 },
	{ "mongodb", 27017 },
	{ "mysql", 3306 },
	{ "postgres", 5432 },
	{ "postgresql", 5432 },
	{ "redis", 6379 },
};

/* Sets the reason; returns -EINVAL. */
#define net_rule_fail(fault, ...) \
	((void)snprintf((fault)->reason, sizeof((fault)->reason), __VA_ARGS__), -EINVAL)

/* Sets what to write in its place. One that is cut would be another rule, so it is dropped. */
static void net_rule_better(struct net_rule_fault *fault, const char *fmt, ...) _printf_(2, 3);
static void net_rule_better(struct net_rule_fault *fault, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(fault->better, sizeof(fault->better), fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(fault->better))
		fault->better[0] = '\0';
}

/* A part of the user's text, as it can stand in quotes. */
static const char *net_rule_shown(char shown[SHOWN_MAX], const char *at, size_t len)
{
	return log_escape(shown, SHOWN_MAX, at, len);
}

static int net_rule_check_bytes(const char *text, struct net_rule_fault *fault)
{
	size_t blank = strspn(text, " \t"), word = strcspn(text + blank, " \t");
	char shown[SHOWN_MAX];

	if (!*text)
		return net_rule_fail(fault, "it is empty: write a host, or leave it out");
	if (strlen(text) >= NET_RULE_TEXT_MAX)
		return net_rule_fail(fault, "it has more than %zu bytes", NET_RULE_TEXT_MAX - 1);
	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			return net_rule_fail(fault, "it isn't ASCII: write the name in punycode, "
						    "such as xn--mnchen-3ya.example");
		if (*c == ',')
			return net_rule_fail(
				fault, "there is a comma in it: write each rule by itself");
		if (*c == ' ' || *c == '\t') {
			/* Only around it: of two words, either may be what was meant. */
			if (text[blank + word + strspn(text + blank + word, " \t")] == '\0')
				net_rule_better(fault, "%.*s", (int)word, text + blank);
			return net_rule_fail(fault, "there is a blank in it");
		}
		if (*c < 0x20 || *c == 0x7f)
			return net_rule_fail(
				fault, "'%s' is a control character", net_rule_shown(shown, c, 1));
	}
	return 0;
}

/* Behind an address, a slash is that of a network's length, and not that of a path. */
static bool net_rule_is_address_like(const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len), *end = text + len;
	bool v6 = colon && memchr(colon + 1, ':', (size_t)(end - colon - 1));

	return *text == '[' || ((v6 || (*text >= '0' && *text <= '9')) &&
				       strspn(text, DIGITS ".:xXabcdefABCDEF") >= len);
}

/* The port that a URL has by its scheme; 0: it isn't known. */
static uint16_t net_rule_scheme_port(const char *scheme, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(net_rule_schemes); i++)
		if (strlen(net_rule_schemes[i].name) == len &&
			strncasecmp(scheme, net_rule_schemes[i].name, len) == 0)
			return net_rule_schemes[i].port;
	return 0;
}

/* A scheme, a user, a path: what a URL has around its host. */
static int net_rule_check_url(const char *text, struct net_rule_fault *fault)
{
	const char *scheme_end = strstr(text, "://"), *core = scheme_end ? scheme_end + 3 : text;
	size_t len = strcspn(core, "/?#");
	char shown[SHOWN_MAX];
	uint16_t port;

	for (const char *at; (at = memchr(core, '@', len)); core = at + 1)
		len -= (size_t)(at + 1 - core);
	if (core == text) {
		if (!core[len] || (core[len] == '/' && net_rule_is_address_like(text, len)))
			return 0;
		net_rule_better(fault, "%.*s", (int)len, core);
		return net_rule_fail(fault, "'%s' is no part of a rule, which knows no paths",
			net_rule_shown(shown, core + len, strlen(core + len)));
	}
	port = scheme_end ? net_rule_scheme_port(text, (size_t)(scheme_end - text)) : 0;
	if (len == 0 || (core[len - 1] != ']' && memchr(core, ':', len)))
		port = 0; /* it has its own */
	net_rule_better(fault, port ? "%.*s:%u" : "%.*s", (int)len, core, port);
	/* The user is not shown: a password may stand there. */
	if (!scheme_end)
		return net_rule_fail(fault, "a user is no part of a rule");
	return net_rule_fail(fault, "'%s' is no part of a rule, which is no URL",
		net_rule_shown(shown, text, (size_t)(scheme_end + 3 - text)));
}

/* Splits at the colon before the ports, of which IPv6 addresses have others. */
static int net_rule_split(
	const char *text, struct net_rule_parts *ret_parts, struct net_rule_fault *fault)
{
	struct net_rule_parts p = { .host = text, .host_len = strcspn(text, ":") };
	const char *slash = strchr(text, '/'), *net_end = text + strlen(text);

	if (slash)
		net_end = slash + 1 + strspn(slash + 1, DIGITS);
	p.tail = text + p.host_len;
	if (*text == '[') {
		p.bracketed = true;
		p.host = text + 1;
		p.host_len = strcspn(p.host, "]");
		if (p.host[p.host_len] != ']')
			return net_rule_fail(fault, "'[' has no ']'");
		p.tail = p.host + p.host_len + 1;
		if (*p.tail == '/') {
			net_rule_better(fault, "[%.*s%.*s]%s", (int)p.host_len, p.host,
				(int)(net_end - p.tail), p.tail, net_end);
			return net_rule_fail(
				fault, "a network's length stands inside the brackets");
		}
		if (*p.tail && *p.tail != ':')
			return net_rule_fail(fault, "only a port can follow ']'");
	} else if (*p.tail && strchr(p.tail + 1, ':')) {
		net_rule_better(fault, "[%.*s]%s", (int)(net_end - text), text, net_end);
		return net_rule_fail(fault, "an IPv6 address stands in brackets");
	}
	*ret_parts = p;
	return 0;
}

static int net_rule_read_ports(const struct net_rule_parts *p, const char *text,
	struct net_rule *rule, struct net_rule_fault *fault)
{
	const char *ports = *p->tail ? p->tail + 1 : p->tail, *dash = strchr(ports, '-');
	size_t len = strlen(ports), first_len = dash ? (size_t)(dash - ports) : len;
	char shown[SHOWN_MAX];

	rule->first_port = 1;
	rule->last_port = PORT_MAX;
	if (!*p->tail)
		return 0;
	if (len == 0 || strcmp(ports, "*") == 0) {
		net_rule_better(fault, "%.*s", (int)(p->tail - text), text);
		return net_rule_fail(fault, "no port follows ':', and without one all are meant");
	}
	if (parse_u16(ports, first_len, &rule->first_port) < 0 || rule->first_port == 0 ||
		(dash && (parse_u16(dash + 1, len - first_len - 1, &rule->last_port) < 0 ||
				 rule->last_port == 0)))
		return net_rule_fail(fault,
			"'%s' is no port from 1 to 65535, nor a range of them such as 8000-8999",
			net_rule_shown(shown, ports, len));
	if (!dash)
		rule->last_port = rule->first_port;
	if (rule->first_port > rule->last_port) {
		net_rule_better(fault, "%.*s:%u-%u", (int)(p->tail - text), text, rule->last_port,
			rule->first_port);
		return net_rule_fail(fault, "the range of ports '%s' goes backwards", ports);
	}
	return 0;
}

/* The address of a network, or the one that is alone. */
static int net_rule_read_addr(const struct net_rule_parts *p, const char *text, const char *slash,
	struct ipaddr *ret_addr, struct net_rule_fault *fault)
{
	char shown[SHOWN_MAX], better[IPADDR_TEXT_MAX];
	uint16_t port;

	if (strchr(text, '%')) {
		net_rule_better(fault, "[%.*s%s]%s", (int)strcspn(text, "%"), text, slash, p->tail);
		return net_rule_fail(fault, "a rule knows no interfaces, and so no zone");
	}
	if (ipaddr_parse(text, ret_addr) == 0) {
		if (p->bracketed == (strchr(text, ':') != NULL))
			return 0;
		net_rule_better(fault, "%s%s%s", text, slash, p->tail);
		return net_rule_fail(fault, "only IPv6 addresses stand in brackets");
	}
	net_rule_shown(shown, text, strlen(text));
	if (p->bracketed)
		return net_rule_fail(fault, "'%s' is no IPv6 address", shown);
	if (!*slash && !*p->tail && parse_u16(text, strlen(text), &port) == 0 && port > 0) {
		net_rule_better(fault, ":%u", port);
		return net_rule_fail(fault, "'%s' is a port, which stands behind a colon", shown);
	}
	if (ipaddr_parse_aton(text, ret_addr) < 0)
		return net_rule_fail(fault, "'%s' is no IPv4 address", shown);
	net_rule_better(fault, "%s%s%s", ipaddr_format(ret_addr, better), slash, p->tail);
	return net_rule_fail(fault, "'%s' is an IPv4 address in an unusual spelling", shown);
}

static int net_rule_read_net(const struct net_rule_parts *p, const char *host,
	struct net_rule *rule, struct net_rule_fault *fault)
{
	uint8_t max = p->bracketed ? 128 : 32;
	const char *slash = host + strcspn(host, "/");
	char text[NET_RULE_TEXT_MAX], better[IPNET_TEXT_MAX];
	uint64_t len = max;
	struct ipaddr addr;
	int r;

	(void)snprintf(text, sizeof(text), "%.*s", (int)(slash - host), host);
	r = net_rule_read_addr(p, text, slash, &addr, fault);
	if (r < 0)
		return r;
	if (*slash && parse_u64(slash + 1, strlen(slash + 1), 0, max, &len) < 0) {
		char shown[SHOWN_MAX];

		return net_rule_fail(fault, "'%s' is no length of a prefix from /0 to /%u",
			net_rule_shown(shown, slash, strlen(slash)), max);
	}
	rule->kind = NET_RULE_NETWORK;
	rule->net = ipnet_of(&addr, (uint8_t)(p->bracketed ? len : IPNET_V4_BITS + len));
	if (!ipaddr_equal(&rule->net.base, &addr)) {
		net_rule_better(fault, "%s%s", ipnet_format(&rule->net, better), p->tail);
		return net_rule_fail(fault,
			"'%s' has bits behind its prefix (without '%s' it is the address alone)",
			host, slash);
	}
	return 0;
}

static int net_rule_read_host(
	const struct net_rule_parts *p, struct net_rule *rule, struct net_rule_fault *fault)
{
	char host[NET_RULE_TEXT_MAX], name[HOSTNAME_SIZE] = "";
	const char *why, *below = host;

	(void)snprintf(host, sizeof(host), "%.*s", (int)p->host_len, p->host);
	if (p->bracketed || strchr(host, '/'))
		return net_rule_read_net(p, host, rule, fault);
	rule->kind = NET_RULE_ANY;
	if (!*host || strcmp(host, "*") == 0)
		return 0;
	if (strncmp(host, "*.", 2) == 0)
		below += 2;
	if (*host == '.' || strchr(below, '*')) {
		net_rule_better(fault, "*.%s%s", host + 1, p->tail);
		return net_rule_fail(fault, "names below another are meant by '*.' at the start");
	}
	if (hostname_parse(below, strlen(below), name, &why) < 0)
		return net_rule_fail(fault, "%s", why);
	if (hostname_is_numeric(name))
		return below == host ? net_rule_read_net(p, name, rule, fault)
				     : net_rule_fail(fault,
					       "'*.' stands before a name, and not a number");
	rule->kind = below > host                     ? NET_RULE_DOMAIN
		     : strcmp(name, "localhost") == 0 ? NET_RULE_LOCALHOST
						      : NET_RULE_NAME;
	memcpy(rule->name, name, sizeof(name));
	return 0;
}

static int net_rule_read(const char *text, struct net_rule *ret_rule, struct net_rule_fault *fault)
{
	struct net_rule rule = { 0 };
	struct net_rule_parts parts;
	int r;

	fault->better[0] = '\0';
	r = net_rule_check_bytes(text, fault);
	if (r == 0)
		r = net_rule_check_url(text, fault);
	if (r == 0)
		r = net_rule_split(text, &parts, fault);
	if (r == 0)
		r = net_rule_read_ports(&parts, text, &rule, fault);
	if (r == 0)
		r = net_rule_read_host(&parts, &rule, fault);
	if (r == 0)
		*ret_rule = rule;
	return r;
}

int net_rule_parse(const char *text, struct net_rule *ret_rule, char ret_why[NET_RULE_WHY_MAX])
{
	struct net_rule_fault fault, scrap;
	struct net_rule meant;

	if (net_rule_read(text, ret_rule, &fault) == 0)
		return 0;
	if (fault.better[0] && net_rule_read(fault.better, &meant, &scrap) == 0)
		(void)snprintf(
			ret_why, NET_RULE_WHY_MAX, "%s: write '%s'", fault.reason, fault.better);
	else
		(void)snprintf(ret_why, NET_RULE_WHY_MAX, "%s", fault.reason);
	return -EINVAL;
}
