/* SPDX-License-Identifier: MIT */
/*
 * The outline of a binary module (WebAssembly core specification, "Binary Format", 5.5): magic,
 * version, then sections, each an identifier and its length in LEB128.
 */
#include "app/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define HEADER_LEN 8
#define SECTION_HEADER_MAX 6 /* identifier, and 32 bits in LEB128 */
#define SECTIONS_MAX 4096    /* a module has a dozen, and custom ones */
#define SHOWN_MAX 256        /* of a path in a message */

static const uint8_t magic[4] = { 0, 'a', 's', 'm' };
static const uint8_t core_version[4] = { 1, 0, 0, 0 };
/* Component model, Binary.md: the layer stands in the upper half. */
static const uint8_t component_layer[2] = { 1, 0 };

/* The section's length, and where it begins behind `at`. False: the bytes are cut off or too many.
 */
static bool parse_section(const uint8_t *bytes, size_t len, size_t *ret_header, uint32_t *ret_len)
{
	uint64_t value = 0;

	for (size_t i = 1; i < len; i++) {
		value |= (uint64_t)(bytes[i] & 0x7f) << (7 * (i - 1));
		if (!(bytes[i] & 0x80)) {
			*ret_header = i + 1;
			*ret_len = (uint32_t)value;
			return value <= UINT32_MAX;
		}
	}
	return false;
}

/* What is wrong with the sections, or NULL. */
static const char *check_sections(int fd, uint64_t size)
{
	uint64_t at = HEADER_LEN;
	uint8_t bytes[SECTION_HEADER_MAX];

	for (unsigned i = 0; at < size; i++) {
		size_t header;
		uint32_t len;
		ssize_t n = pread(fd, bytes, sizeof bytes, (off_t)at);

		if (i == SECTIONS_MAX)
			return "is no sound WebAssembly module: it has too many sections";
		if (n <= 0)
			return "can't be read to its end";
		if (!parse_section(bytes, (size_t)n, &header, &len))
			return (size_t)n < sizeof bytes ? "is truncated"
							: "is no sound WebAssembly module";
		at += header + len;
	}
	return at > size ? "is truncated" : NULL;
}

static const char *check_header(const uint8_t *bytes, size_t len)
{
	if (memcmp(bytes, magic, len < sizeof magic ? len : sizeof magic) != 0 || len == 0)
		return "is no WebAssembly module";
	if (len < HEADER_LEN)
		return "is truncated";
	if (memcmp(bytes + 6, component_layer, sizeof component_layer) == 0)
		return "is a component: only preview 1 modules can be run as yet";
	if (memcmp(bytes + 4, core_version, sizeof core_version) != 0)
		return "is of a WebAssembly version that isn't known here";
	return NULL;
}

static int module_fail(const char *path, int r, const char *what, char *ret_why)
{
	char shown[SHOWN_MAX];

	snprintf(ret_why, APP_WHY_MAX, "'%s' %s",
		log_escape(shown, sizeof shown, path, strlen(path)), what);
	return r;
}

int module_check(const char *path, char ret_why[APP_WHY_MAX])
{
	_cleanup_(fd_closep) int fd = -1;
	uint8_t header[HEADER_LEN];
	const char *wrong;
	struct stat st;
	ssize_t n;

	/* Not blocking: it may be a pipe, which is found out below. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return module_fail(path, -errno, strerror(errno), ret_why);
	if (!S_ISREG(st.st_mode))
		return module_fail(path, -EINVAL, "is no file", ret_why);
	n = pread(fd, header, sizeof header, 0);
	if (n < 0)
		return module_fail(path, -errno, strerror(errno), ret_why);
	wrong = check_header(header, (size_t)n);
	if (!wrong)
		wrong = check_sections(fd, (uint64_t)st.st_size);
	return wrong ? module_fail(path, -EINVAL, wrong, ret_why) : 0;
}
