/* SPDX-License-Identifier: MIT */
/*
 * Loading: take what was compiled before, or else read the file, see what it is, and compile it.
 * What was compiled before only saves time: where that is missing or spoilt, nothing else is.
 */
#include "guest/wasm_module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasmtime.h>

#include "base/clock.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/printable.h"
#include "guest/guest_exit.h"
#include "guest/wasm_file.h"

/* From here on compiling takes a second or more, and is announced. */
#define COMPILE_ANNOUNCED (4u << 20)

#define MODULE_COMPILED "module.cwasm" /* in the folder of what was compiled */

/* A file in memory. */
struct wasm_bytes {
	uint8_t *data; /* owned */
	size_t len;
};

static void wasm_bytes_deinit(struct wasm_bytes *c)
{
	free(c->data);
}

static int wasm_bytes_read(struct wasm_bytes *c, const char *path)
{
	_cleanup_(fd_closep) int fd = -1;
	struct stat st;
	ssize_t n;
	int r = file_open(path, O_RDONLY, 0, FILE_ALONE, &fd);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > MODULE_FILE_MAX)
		return -EFBIG;
	c->data = malloc((size_t)st.st_size + 1);
	if (!c->data)
		return -ENOMEM;
	n = fd_read_full(fd, c->data, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	c->len = (size_t)n;
	return 0;
}

static int wasm_module_refuse_kind(
	enum wasm_file_kind kind, const char *path, struct guest_end *end)
{
	switch (kind) {
	case WASM_FILE_COMPONENT:
		return guest_fail(end, GUEST_EXIT_COMPONENT,
			"'%s' is a component; those that export wasi:cli/run or wasi:http run in "
			"the wasmtime command",
			path);
	case WASM_FILE_TRUNCATED:
		return guest_fail(end, GUEST_EXIT_TRUNCATED,
			"'%s' is cut off: it ends before its sections do; build or copy it again",
			path);
	case WASM_FILE_OTHER_VERSION:
		return guest_fail(end, GUEST_EXIT_INVALID,
			"'%s' is in a version of WebAssembly that is not known", path);
	case WASM_FILE_NOT_WASM:
		return guest_fail(end, GUEST_EXIT_NOT_WASM, "'%s' is not a WebAssembly file", path);
	case WASM_FILE_MODULE:
		break;
	}
	return 0;
}

/* Tells what the engine says, on one line. Drops the error. */
static int wasm_module_refuse_invalid(
	struct wasmtime_error *error, const char *path, struct guest_end *end)
{
	struct wasm_byte_vec_t text;
	size_t len = 0;
	int code;

	wasmtime_error_message(error, &text);
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i] == '\n' ? ' ' : text.data[i];

		if (c != ' ' || (len > 0 && text.data[len - 1] != ' '))
			text.data[len++] = c;
	}
	code = guest_fail(end, GUEST_EXIT_INVALID, "'%s' is not valid: %.*s", path, (int)len,
		(char *)text.data);
	wasm_byte_vec_delete(&text);
	wasmtime_error_delete(error);
	return code;
}

static int wasm_module_compile(struct wasm_engine_t *engine, const char *path,
	const struct wasm_bytes *content, bool quick, struct guest_end *end,
	struct wasmtime_module **ret_module)
{
	uint64_t start_ms = clock_now_ms();
	struct wasmtime_error *error;
	bool announced = content->len > COMPILE_ANNOUNCED;

	if (announced) {
		fputs("wasmrun-guest: compiling '", stderr);
		(void)printable_write(stderr, path, strlen(path));
		fprintf(stderr, "', %.1f MB\n", (double)content->len / 1e6);
	}
	error = wasmtime_module_new(engine, content->data, content->len, ret_module);
	if (error && quick) {
		wasmtime_error_delete(error);
		return MODULE_NOT_QUICK;
	}
	if (error)
		return wasm_module_refuse_invalid(error, path, end);
	if (announced)
		fprintf(stderr, "wasmrun-guest: compiled in %.1f s\n",
			(double)(clock_now_ms() - start_ms) / 1e3);
	return 0;
}

/* The engine refuses what another version or processor made. */
static bool wasm_module_from_cache(
	const char *folder, struct wasm_engine_t *engine, struct wasmtime_module **ret_module)
{
	struct wasmtime_error *error;
	char *path;

	if (asprintf(&path, "%s/" MODULE_COMPILED, folder) < 0)
		return false;
	error = wasmtime_module_deserialize_file(engine, path, ret_module);
	free(path);
	if (error)
		wasmtime_error_delete(error);
	return !error;
}

int wasm_module_load(struct wasm_engine_t *engine, const char *path, const char *folder, bool quick,
	struct guest_end *end, struct wasmtime_module **ret_module)
{
	_cleanup_(wasm_bytes_deinit) struct wasm_bytes content = { 0 };
	int r;

	if (folder && wasm_module_from_cache(folder, engine, ret_module)) {
		log_debug("cache", "hit");
		return 0;
	}
	if (folder)
		log_debug("cache", "miss");
	r = wasm_bytes_read(&content, path);
	if (r < 0)
		return guest_fail(end, GUEST_EXIT_READ, "can't read '%s': %s", path, file_why(r));
	r = wasm_module_refuse_kind(wasm_file_check(content.data, content.len), path, end);
	return r != 0 ? r : wasm_module_compile(engine, path, &content, quick, end, ret_module);
}

static int wasm_module_write(const char *folder, const struct wasm_byte_vec_t *bytes)
{
	_cleanup_(fd_closep) int fd = -1;
	char *path;
	int r;

	if (asprintf(&path, "%s/" MODULE_COMPILED, folder) < 0)
		return -ENOMEM;
	r = file_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, FILE_ALONE, &fd);
	free(path);
	if (r == 0)
		r = fd_write_full(fd, bytes->data, bytes->size);
	return r;
}

int wasm_module_keep(struct wasmtime_module *module, const char *folder)
{
	struct wasm_byte_vec_t bytes;
	struct wasmtime_error *error = wasmtime_module_serialize(module, &bytes);
	int r;

	if (error) {
		log_warn("cache", "the engine can't serialize this module");
		wasmtime_error_delete(error);
		return -EIO;
	}
	r = wasm_module_write(folder, &bytes);
	if (r < 0)
		log_warn("cache", "can't keep the compiled module: %s", strerror(-r));
	wasm_byte_vec_delete(&bytes);
	return r;
}
