/* SPDX-License-Identifier: MIT */
/*
 * Refuses a module before it runs, by a line that names what is missing. The linker would refuse it
 * too, but can't say what the module was made for (app/foreign.h).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wasmtime.h>

#include "app/foreign.h"
#include "base/log.h"
#include "guest/guest_exit.h"
#include "guest/wasm_module.h"
#include "guest/wasi.h"

bool wasm_name_is(const struct wasm_byte_vec_t *name, const char *text)
{
	return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

static int wasm_module_vet_import(struct wasm_importtype_t *import,
	struct wasmtime_context *context, struct wasmtime_linker *linker, const char *path,
	struct guest_end *end)
{
	const struct wasm_byte_vec_t *module = wasm_importtype_module(import);
	const struct wasm_byte_vec_t *name = wasm_importtype_name(import);
	char module_text[128], name_text[128];
	struct wasmtime_extern found;
	const char *foreign;

	if (wasmtime_linker_get(linker, context, (char *)module->data, module->size,
		    (char *)name->data, name->size, &found)) {
		wasmtime_extern_delete(&found);
		return 0;
	}
	foreign = foreign_find(FOREIGN_IMPORT, (char *)module->data, module->size);
	if (foreign)
		return guest_fail(end, GUEST_EXIT_FOREIGN, "'%s' %s", path, foreign);
	log_escape(module_text, sizeof(module_text), module->data, module->size);
	log_escape(name_text, sizeof(name_text), name->data, name->size);
	return guest_fail(end, GUEST_EXIT_IMPORT, "'%s' imports '%s' of '%s', which is not there",
		path, name_text, module_text);
}

/* WASI moves everything through the memory; a module that doesn't use WASI needs no memory. */
static int wasm_module_vet_memory(struct wasm_memorytype_t *memory, bool uses_wasi,
	const char *path, uint64_t max, struct guest_end *end)
{
	uint64_t pages;

	if (!memory)
		return uses_wasi ? guest_fail(end, GUEST_EXIT_NO_PROGRAM,
					   "'%s' exports no memory, which WASI needs", path)
				 : 0;
	if (wasmtime_memorytype_is64(memory) || wasmtime_memorytype_isshared(memory))
		return guest_fail(end, GUEST_EXIT_NO_PROGRAM,
			"'%s' has a 64-bit or shared memory, which preview 1 does not know", path);
	pages = wasmtime_memorytype_minimum(memory);
	if (pages > max >> 16)
		return guest_fail(end, GUEST_EXIT_MEMORY,
			"'%s' needs %" PRIu64 " KiB of memory to start, and may have %" PRIu64
			" (--memory-max)",
			path, pages << 6, max >> 10);
	return 0;
}

static int wasm_module_vet_exports(const struct wasm_exporttype_vec_t *exports, bool uses_wasi,
	const char *path, uint64_t max, struct guest_end *end)
{
	struct wasm_memorytype_t *memory = NULL;
	const char *foreign = NULL;
	bool start = false;

	for (size_t i = 0; i < exports->size; i++) {
		const struct wasm_byte_vec_t *name = wasm_exporttype_name(exports->data[i]);
		struct wasm_externtype_t *type = wasm_exporttype_type(exports->data[i]);

		if (wasm_name_is(name, "memory"))
			memory = wasm_externtype_as_memorytype(type);
		start |= wasm_name_is(name, "_start") && wasm_externtype_as_functype(type);
		if (!foreign)
			foreign = foreign_find(FOREIGN_EXPORT, (char *)name->data, name->size);
	}
	if (foreign)
		return guest_fail(end, GUEST_EXIT_FOREIGN, "'%s' %s", path, foreign);
	if (!start)
		return guest_fail(end, GUEST_EXIT_NO_PROGRAM,
			"'%s' is a library, not a program: it exports no _start function", path);
	return wasm_module_vet_memory(memory, uses_wasi, path, max, end);
}

int wasm_module_vet(struct wasmtime_module *module, struct wasmtime_context *context,
	struct wasmtime_linker *linker, const char *path, uint64_t memory_max,
	struct guest_end *end)
{
	struct wasm_importtype_vec_t imports;
	struct wasm_exporttype_vec_t exports;
	bool uses_wasi = false;
	int r = 0;

	wasmtime_module_imports(module, &imports);
	for (size_t i = 0; i < imports.size && r == 0; i++) {
		uses_wasi |= wasm_name_is(wasm_importtype_module(imports.data[i]), WASI_MODULE);
		r = wasm_module_vet_import(imports.data[i], context, linker, path, end);
	}
	wasm_importtype_vec_delete(&imports);
	if (r != 0)
		return r;
	wasmtime_module_exports(module, &exports);
	r = wasm_module_vet_exports(&exports, uses_wasi, path, memory_max, end);
	wasm_exporttype_vec_delete(&exports);
	return r;
}
