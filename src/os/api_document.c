/* SPDX-License-Identifier: MIT */
/* Prints /api/openapi.json, without the page's files: the build makes TypeScript's types of it, and
 * the page may be made with these. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/api_internal.h"

const struct http_asset page_assets[1];
const size_t page_assets_count;

int main(void)
{
	json_t *document = api_openapi_json(api_calls, api_call_count);
	int r = document ? json_dumpf(document, stdout, JSON_INDENT(2)) : -1;

	json_decref(document);
	return r < 0 || fflush(stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}
