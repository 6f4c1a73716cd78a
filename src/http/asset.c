/* SPDX-License-Identifier: MIT */
#include "http/asset.h"

#include "http/http_internal.h"
#include "mhd/etag.h"

#define FOR_EVER \
	"max-age=31536000, immutable" /* a year, which is as long as caches keep anything */
#define ASK_AGAIN "no-cache"

void http_get_asset(void *owner, struct http_request *request)
{
	const struct http_asset *asset = request->match.route->asset;
	const char *known = MHD_lookup_connection_value(
		request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
	bool is_known = known && etag_matches(known, asset->etag);
	/* libmicrohttpd promises not to write to it. */
	struct MHD_Response *response = MHD_create_response_from_buffer(
		is_known ? 0 : asset->len, (void *)(uintptr_t)asset->data, MHD_RESPMEM_PERSISTENT);

	if (response) {
		http_response_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, asset->type);
		http_response_add(response, MHD_HTTP_HEADER_ETAG, asset->etag);
		http_response_add(response, MHD_HTTP_HEADER_CACHE_CONTROL,
			asset->immutable ? FOR_EVER : ASK_AGAIN);
	}
	http_request_reply(request, is_known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}
