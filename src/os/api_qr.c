/* SPDX-License-Identifier: MIT */
/* The public URL as a picture. */
#include <stdio.h>
#include <stdlib.h>

#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/exposure.h"
#include "os/qr.h"

void api_tunnel_qr(void *owner, struct http_request *request)
{
	struct api *api = owner;
	struct exposure_status status;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int r;

	exposure_status(api->config.exposure, &status);
	if (!status.public_url) {
		http_reply_error(request, 409, "there is no public address: start the tunnel");
		return;
	}
	out = open_memstream(&text, &len);
	r = out ? qr_write_svg(out, status.public_url) : -1;
	if (out && fclose(out) == 0 && r == 0)
		http_reply_bytes(request, 200, "image/svg+xml", text, len);
	else
		http_reply_error(request, 500, "out of memory");
	free(text);
}
