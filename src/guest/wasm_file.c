/* SPDX-License-Identifier: MIT */
/* Walks over the sections' lengths; what is in them is the engine's to judge. */
#include "guest/wasm_file.h"

#include <stdbool.h>
#include <string.h>

/* "\0asm", then version 1 and layer 0 for a module, layer 1 with any version for a component. */
#define PREAMBLE_LEN 8
static const uint8_t magic[4] = { 0x00, 'a', 's', 'm' };
static const uint8_t module_version[4] = { 0x01, 0x00, 0x00, 0x00 };

/* A length of at most 32 bits in LEB128. False when the bytes end within it; a number too long for
 * 32 bits ends at its fifth byte, and is then longer than any file. */
static bool wasm_file_read_length(const uint8_t *data, size_t len, size_t *pos, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 35; shift += 7) {
		uint8_t byte;

		if (*pos >= len)
			return false;
		byte = data[(*pos)++];
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	*ret_value = value;
	return true;
}

static bool wasm_file_is_whole(const uint8_t *data, size_t len)
{
	size_t pos = PREAMBLE_LEN;

	while (pos < len) {
		uint64_t size;

		pos++;
		if (!wasm_file_read_length(data, len, &pos, &size) || size > len - pos)
			return false;
		pos += size;
	}
	return true;
}

enum wasm_file_kind wasm_file_check(const uint8_t *data, size_t len)
{
	size_t known = len < sizeof(magic) ? len : sizeof(magic);

	if (len == 0 || memcmp(data, magic, known) != 0)
		return WASM_FILE_NOT_WASM;
	if (len < PREAMBLE_LEN)
		return WASM_FILE_TRUNCATED;
	if (data[6] == 1 && data[7] == 0)
		return wasm_file_is_whole(data, len) ? WASM_FILE_COMPONENT : WASM_FILE_TRUNCATED;
	if (memcmp(data + sizeof(magic), module_version, sizeof(module_version)) != 0)
		return WASM_FILE_OTHER_VERSION;
	return wasm_file_is_whole(data, len) ? WASM_FILE_MODULE : WASM_FILE_TRUNCATED;
}
