/* SPDX-License-Identifier: MIT */
#include "front/preamble.h"

#include "front/proxy_header.h"

void preamble_init(struct preamble *p, const struct trusted *trusted, const struct addr *peer)
{
	*p = (struct preamble){ .trusted = trusted, .peer = *peer, .from = *peer };
}

bool preamble_is_awaited(const struct preamble *p)
{
	return !p->done && !p->proxied && trusted_has(p->trusted, &p->peer);
}

static enum preamble_result preamble_fail(struct preamble *p, const char *why)
{
	p->why = why;
	return PREAMBLE_BAD;
}

static enum preamble_result preamble_read_request(
	struct preamble *p, const uint8_t *data, size_t len, size_t *ret_used)
{
	switch (upgrade_read_request(data, len, &p->request, ret_used)) {
	case UPGRADE_REQUEST_PARTIAL:
		return PREAMBLE_MORE;
	case UPGRADE_REQUEST_REFUSED:
		return PREAMBLE_REFUSED;
	case UPGRADE_REQUEST_WANTED:
		break;
	default:
		if (preamble_is_awaited(p))
			return preamble_fail(p,
				"a trusted proxy has said neither a PROXY header nor an upgrade");
		p->done = true;
		return PREAMBLE_PLAIN;
	}
	if (trusted_has(p->trusted, &p->from) &&
		trusted_client(p->trusted, &p->request.head, &p->from, &p->from) < 0) {
		p->request.refusal = UPGRADE_FORWARDED;
		return PREAMBLE_REFUSED;
	}
	p->done = p->upgraded = true;
	return PREAMBLE_UPGRADE;
}

enum preamble_result preamble_feed(
	struct preamble *p, const uint8_t *data, size_t len, size_t *ret_used)
{
	enum preamble_result r;
	size_t header = 0, used = 0;

	*ret_used = 0;
	if (!len)
		return PREAMBLE_MORE;
	if (preamble_is_awaited(p)) {
		switch (proxy_header_read(data, len, &p->from, &header)) {
		case PROXY_HEADER_PARTIAL:
			return PREAMBLE_MORE;
		case PROXY_HEADER_BAD:
			return preamble_fail(p, "a trusted proxy has sent a bad PROXY header");
		case PROXY_HEADER_CLIENT:
		case PROXY_HEADER_LOCAL:
			p->proxied = true;
			break;
		case PROXY_HEADER_NONE:
			break;
		}
	}
	*ret_used = header;
	if (header == len)
		return PREAMBLE_MORE;
	r = preamble_read_request(p, data + header, len - header, &used);
	*ret_used += used;
	return r;
}
