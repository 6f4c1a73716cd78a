/* SPDX-License-Identifier: MIT */
/* The public URL for a phone's camera. */
#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/request.h"
#include "os/api_internal.h"
#include "os/exposure.h"

#define QR_MARGIN 4 /* modules of quiet zone that ISO/IEC 18004 asks for */

static void qr_write(FILE *out, const QRcode *code)
{
	int size = code->width + 2 * QR_MARGIN;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
		"shape-rendering=\"crispEdges\"><rect width=\"%d\" height=\"%d\" "
		"fill=\"#fff\"/><path d=\"",
		size, size, size, size);
	for (int i = 0; i < code->width * code->width; i++)
		if (code->data[i] & 1)
			fprintf(out, "M%d %dh1v1h-1z", i % code->width + QR_MARGIN,
				i / code->width + QR_MARGIN);
	fputs("\"/></svg>\n", out);
}

void api_tunnel_qr(void *owner, struct http_request *request)
{
	struct api *api = owner;
	struct exposure_status status;
	char *text = NULL;
	size_t len = 0;
	QRcode *code;
	FILE *out;

	exposure_status(api->config.exposure, &status);
	if (!status.public_url) {
		http_reply_error(request, 409, "there is no public address: start the tunnel");
		return;
	}
	code = QRcode_encodeString8bit(status.public_url, 0, QR_ECLEVEL_M);
	out = code ? open_memstream(&text, &len) : NULL;
	if (out)
		qr_write(out, code);
	if (out && fclose(out) == 0)
		http_reply_bytes(request, 200, "image/svg+xml", text, len);
	else
		http_reply_error(request, 500, "out of memory");
	QRcode_free(code);
	free(text);
}
