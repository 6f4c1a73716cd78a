/* SPDX-License-Identifier: MIT */
#include "front/trusted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "net/host.h"

#define FORWARDED_FOR "X-Forwarded-For"
#define REAL_IP "X-Real-IP"

/* --- networks --- */

int trusted_parse(const char *text, struct ipnet *ret_net, char ret_why[TRUSTED_WHY_MAX])
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char base[IPADDR_TEXT_MAX], shown[64];
	struct ipaddr addr;
	uint64_t bits;
	unsigned most;

	if (len < sizeof(base)) {
		memcpy(base, text, len);
		base[len] = '\0';
	}
	if (len >= sizeof(base) || ipaddr_parse(base, &addr) < 0) {
		(void)snprintf(ret_why, TRUSTED_WHY_MAX,
			"'%s' is no IP address: write one, or a network such as 10.0.0.0/8",
			log_escape(shown, sizeof(shown), text, len));
		return -EINVAL;
	}
	/* What is mapped has 96 bits more, also where somebody writes it so. */
	most = ipaddr_is_v4(&addr) && !strchr(base, ':') ? 32 : 128;
	bits = most;
	if (slash && parse_u64(slash + 1, strlen(slash + 1), 0, most, &bits) < 0) {
		(void)snprintf(
			ret_why, TRUSTED_WHY_MAX, "its prefix is no number from 0 to %u", most);
		return -EINVAL;
	}
	*ret_net = ipnet_of(&addr, (uint8_t)(bits + 128 - most));
	return 0;
}

int trusted_check(int form, const char *text, char *ret_why)
{
	struct ipnet net;

	(void)form;
	return trusted_parse(text, &net, ret_why);
}

bool trusted_has(const struct trusted *t, const struct addr *addr)
{
	struct ipaddr ip;

	if (!t->count)
		return false;
	ip = addr->sa.sa_family == AF_INET ? ipaddr_from_v4((const uint8_t *)&addr->in4.sin_addr)
					   : ipaddr_from_v6(addr->in6.sin6_addr.s6_addr);
	for (size_t i = 0; i < t->count; i++) {
		if (ipnet_has(&t->nets[i], &ip))
			return true;
	}
	return false;
}

/* --- the fields --- */

/* An address, which some write with a port. */
static int trusted_parse_client(const struct span *text, struct addr *ret_addr)
{
	char copy[ADDR_TEXT_MAX];

	if (text->len >= sizeof(copy) || memchr(text->at, '%', text->len))
		return -EBADMSG;
	memcpy(copy, text->at, text->len);
	copy[text->len] = '\0';
	if (addr_parse_ip(copy, 0, ret_addr) == 0 || host_parse_peer(copy, ret_addr) == 0)
		return 0;
	return -EBADMSG;
}

/*
 * 1: *ret_client is who X-Forwarded-For says it is; 0: there is no such field; -EBADMSG. Each proxy
 * adds its client at the end, some in a field of their own. So the last address that isn't trusted
 * counts, and what stands before that one is made up. All is looked at once, whatever a client has
 * heaped up.
 */
static int trusted_forwarded_for(
	const struct trusted *t, const struct head *head, struct addr *ret_client)
{
	struct span fields = head->fields, field, list, element;
	bool bad = false;
	int found = 0;

	while (head_next(&fields, &field, &list)) {
		while (span_is(&field, FORWARDED_FOR) && head_next_element(&list, &element)) {
			struct addr addr;
			bool is_addr = trusted_parse_client(&element, &addr) == 0;
			bool is_client = is_addr && !trusted_has(t, &addr);

			if (is_client || (is_addr && !found))
				*ret_client = addr;
			found |= is_addr;
			bad = !is_client && (bad || !is_addr);
		}
	}
	return bad ? -EBADMSG : found;
}

int trusted_client(const struct trusted *t, const struct head *head, const struct addr *proxy,
	struct addr *ret_client)
{
	struct addr client = *proxy, real;
	struct span value;
	size_t reals = head_field(head, REAL_IP, &value);
	int r = trusted_forwarded_for(t, head, &client);
	struct addr a = client, b;

	if (r < 0 || reals > 1 || (reals && trusted_parse_client(&value, &real) < 0))
		return -EBADMSG;
	if (reals && r == 0) {
		client = real;
	} else if (reals && !trusted_has(t, &real)) {
		b = real;
		addr_set_port(&a, 0);
		addr_set_port(&b, 0);
		if (!addr_equal(&a, &b))
			return -EBADMSG;
	}
	*ret_client = client;
	return 0;
}

bool trusted_is_told(const struct head *head)
{
	struct span value;

	return head_field(head, FORWARDED_FOR, &value) || head_field(head, REAL_IP, &value);
}
