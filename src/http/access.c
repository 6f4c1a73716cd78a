/* SPDX-License-Identifier: MIT */
/*
 * The invariant: where a request has an Origin, it is that of the page of this server; a token
 * makes no exception. The page may have come over https only where there is a token: a front with
 * TLS is before it then. On loopback nothing of ours speaks TLS, and a page at https://localhost is
 * another server's.
 */
#include "http/access.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/lang.h"
#include "base/parse.h"

#define SCHEME "http://"
#define SCHEME_TLS "https://"
#define BEARER "Bearer "

static const char *const loopback_names[] = { "localhost", "127.0.0.1", "[::1]" };

static const char *const texts[] = {
	[ACCESS_OK] = "",
	[ACCESS_BAD_HOST] = "this server is asked for as localhost, 127.0.0.1 or [::1] only "
			    "(header Host): from elsewhere forward its port (ssh -L), or start it "
			    "with --listen ADDRESS, which makes it ask for a token",
	[ACCESS_BAD_ORIGIN] =
		"pages of other sites may not use this server (header Origin): a front must pass "
		"the header Host on as the browser sends it, and one with TLS needs a token "
		"(--listen ADDRESS)",
	[ACCESS_BAD_SITE] = "pages of other sites may not use this server (header "
			    "Sec-Fetch-Site): open its own page",
	[ACCESS_BAD_TOKEN] = "send the token of the address that was printed at the start "
			     "(header Authorization: Bearer TOKEN)",
};
static_assert(ARRAY_LEN(texts) == ACCESS_BAD_TOKEN + 1, "a text for each verdict");

static bool access_host_is_loopback(const char *host)
{
	uint16_t port;

	for (size_t i = 0; i < ARRAY_LEN(loopback_names); i++) {
		size_t len = strlen(loopback_names[i]);
		const char *rest = host + len;

		if (strncasecmp(host, loopback_names[i], len) != 0)
			continue;
		if (*rest == '\0')
			return true;
		return *rest == ':' && parse_u16(rest + 1, strlen(rest + 1), &port) == 0;
	}
	return false;
}

static bool access_origin_is(const char *origin, const char *scheme, const char *host)
{
	size_t len = strlen(scheme);

	return host && strncasecmp(origin, scheme, len) == 0 && strcasecmp(origin + len, host) == 0;
}

/* "none" is the user himself: an address that was typed, or a bookmark. */
static bool access_site_is_own(const char *fetch_site)
{
	return strcmp(fetch_site, "same-origin") == 0 || strcmp(fetch_site, "none") == 0;
}

/* Looks at every byte whatever the first ones are, so that time tells nothing of them. */
static bool access_token_equal(const char *given, const char *token)
{
	size_t len = strlen(token);
	unsigned char different = 0;

	if (strlen(given) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		different |= (unsigned char)(given[i] ^ token[i]);
	return different == 0;
}

static bool access_token_is_given(const char *authorization, const char *token)
{
	size_t len = strlen(BEARER);

	return authorization && strncasecmp(authorization, BEARER, len) == 0 &&
	       access_token_equal(authorization + len, token);
}

enum access_verdict access_check(const struct access_headers *headers, const char *token, bool open)
{
	if (!token && (!headers->host || !access_host_is_loopback(headers->host)))
		return ACCESS_BAD_HOST;
	if (headers->origin && !access_origin_is(headers->origin, SCHEME, headers->host) &&
		!(token && access_origin_is(headers->origin, SCHEME_TLS, headers->host)))
		return ACCESS_BAD_ORIGIN;
	if (headers->fetch_site && !access_site_is_own(headers->fetch_site))
		return ACCESS_BAD_SITE;
	if (token && !open && !access_token_is_given(headers->authorization, token))
		return ACCESS_BAD_TOKEN;
	return ACCESS_OK;
}

const char *access_verdict_text(enum access_verdict verdict)
{
	return texts[verdict];
}
