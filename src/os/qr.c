/* SPDX-License-Identifier: MIT */
/* Drawing what libqrencode has encoded: a square of modules and the quiet zone round it. */
#include "os/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>

#include "base/owner.h"

#define MARGIN_SVG 4 /* modules of quiet zone, as the standard asks for */
/* Cameras do with less, and lines of a terminal are dear. */
#define MARGIN_TERMINAL 2
#define LIGHT_ON_DARK "\x1b[97;40m" /* whatever the terminal's own colours are */
#define COLOURS_OFF "\x1b[0m"

static void qr_freep(QRcode **code)
{
	QRcode_free(*code);
}

static QRcode *qr_encode(const char *text, QRecLevel level)
{
	return QRcode_encodeString8bit(text, 0, level);
}

int qr_write_svg(FILE *out, const char *text)
{
	_cleanup_(qr_freep) QRcode *code = qr_encode(text, QR_ECLEVEL_M);
	int size;

	if (!code)
		return -errno;
	size = code->width + 2 * MARGIN_SVG;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
		"shape-rendering=\"crispEdges\"><rect width=\"%d\" height=\"%d\" "
		"fill=\"#fff\"/><path d=\"",
		size, size, size, size);
	for (int i = 0; i < code->width * code->width; i++)
		if (code->data[i] & 1)
			fprintf(out, "M%d %dh1v1h-1z", i % code->width + MARGIN_SVG,
				i / code->width + MARGIN_SVG);
	fputs("\"/></svg>\n", out);
	return 0;
}

/* The quiet zone is light. */
static bool qr_is_light(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return true;
	return !(code->data[y * code->width + x] & 1);
}

int qr_write_terminal(FILE *out, const char *text, unsigned columns, unsigned lines)
{
	/* By the upper and the lower module: dark is 0. */
	static const char *const blocks[2][2] = { { " ", "▄" }, { "▀", "█" } };
	/* No part of a screen is torn or dirty: the least correction makes the smallest code. */
	_cleanup_(qr_freep) QRcode *code = qr_encode(text, QR_ECLEVEL_L);
	unsigned size;

	if (!code)
		return -errno;
	size = (unsigned)code->width + 2 * MARGIN_TERMINAL;
	if (size > columns || (size + 1) / 2 > lines)
		return -EMSGSIZE;
	for (int y = -MARGIN_TERMINAL; y < code->width + MARGIN_TERMINAL; y += 2) {
		fputs(LIGHT_ON_DARK, out);
		for (int x = -MARGIN_TERMINAL; x < code->width + MARGIN_TERMINAL; x++)
			fputs(blocks[qr_is_light(code, x, y)][qr_is_light(code, x, y + 1)], out);
		fputs(COLOURS_OFF "\n", out);
	}
	return 0;
}
