/* SPDX-License-Identifier: MIT */
/*
 * A look at a file's bytes before the engine sees them: what it is, and whether it is all there.
 * The format is that of the WebAssembly core specification, "Binary Format": eight bytes of
 * preamble, then sections of an id, a length in LEB128 and that many bytes.
 */
#ifndef GUEST_WASM_FILE_H
#define GUEST_WASM_FILE_H

#include <stddef.h>
#include <stdint.h>

enum wasm_file_kind {
	WASM_FILE_MODULE,
	WASM_FILE_COMPONENT,
	WASM_FILE_NOT_WASM,
	WASM_FILE_TRUNCATED,
	WASM_FILE_OTHER_VERSION, /* WASM of a version that nobody knows */
};

enum wasm_file_kind wasm_file_check(const uint8_t *data, size_t len);

#endif
