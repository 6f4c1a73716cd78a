/* SPDX-License-Identifier: MIT */
/*
 * Each call of the guest enters in shim_enter() and takes one of three ways:
 *
 *   - a function of call_table answers it, and the guest runs on with WASI's code;
 *   - the function says CALL_FORWARD: the engine's own function answers it, through the trampoline,
 *     and if that succeeds, the row's `after` notes here what has changed there;
 *   - the guest's run ends. A function of the host has only a trap for that: `exited` of its struct
 *     streams tells those that the guest or a drain has wanted from the others.
 *
 * At the start of an instance the engine's WASI is in the linker already. shim_new() keeps the
 * engine's function of each row as `original`, and only then defines ours over it. The trampoline
 * waits until the first call: it imports the guest's memory, which doesn't exist before the guest
 * does.
 *
 * That memory is looked up at the first call and kept, because an instance has the same one until
 * its end. Where its bytes are is asked at every call: they may move while the guest runs
 * (memory.grow). The engine holds pointers to the bindings for as long as the store lives. So the
 * shim outlives the store, and its bindings are arrays that never grow.
 */
#include "guest/shim.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasmtime.h>

#include "base/lang.h"
#include "guest/call.h"
#include "guest/drain.h"
#include "guest/streams.h"
#include "guest/wasi.h"
#include "guest/wasm_module.h"
#include "guest/wasmedge.h"

/* Rows of call_table, and of wasmedge_table, asserted below. */
#define CALLS_MAX 16

/* What the engine hands back with a call: which one it is, and of whom. */
struct shim_binding {
	struct shim *shim;
	const struct call_entry *entry;
	struct wasmtime_func original; /* the engine's own */
	struct wasmtime_func forward;  /* the same through the trampoline, once that is there */
};

struct shim {
	struct wasmtime_module *trampoline; /* borrowed */
	struct streams *streams;
	uint64_t deadline_ms;
	bool has_memory, has_trampoline;
	struct wasmtime_extern memory;
	struct shim_binding bindings[CALLS_MAX];
	struct shim_binding
		sockets[CALLS_MAX]; /* those that the module imports; they have no original */
};

/* The engine's view of a call; the first member is what call_table's functions get. */
struct shim_call {
	struct call call;
	struct shim *shim;
	struct wasmtime_context *context;
};

static void shim_write_type(FILE *out, const struct call_entry *entry)
{
	fputs("(param", out);
	for (const char *param = entry->params; *param; param++)
		fputs(*param == 'I' ? " i64" : " i32", out);
	fputs(entry->no_result ? ")" : ") (result i32)", out);
}

/* The trampoline in WASM's text format; -ENOMEM is told as NULL. */
static char *shim_trampoline_text(size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	fputs("(module", out);
	for (size_t i = 0; i < call_table_len; i++) {
		fprintf(out, "(import \"wasi\" \"%s\" (func ", call_table[i].name);
		shim_write_type(out, &call_table[i]);
		fputs("))", out);
	}
	fputs("(import \"guest\" \"memory\" (memory 0)) (export \"memory\" (memory 0))", out);
	for (size_t i = 0; i < call_table_len; i++) {
		fprintf(out, "(func (export \"%s\") ", call_table[i].name);
		shim_write_type(out, &call_table[i]);
		for (size_t j = 0; call_table[i].params[j]; j++)
			fprintf(out, " local.get %zu", j);
		fprintf(out, " call %zu)", i);
	}
	fputs(")", out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

struct wasmtime_error *shim_trampoline_new(
	struct wasm_engine_t *engine, struct wasmtime_module **ret_trampoline)
{
	struct wasm_byte_vec_t bytes = { 0 };
	struct wasmtime_error *error;
	size_t len;
	char *text = shim_trampoline_text(&len);

	if (!text)
		return wasmtime_error_new("out of memory");
	error = wasmtime_wat2wasm(text, len, &bytes);
	free(text);
	if (!error)
		error = wasmtime_module_new(engine, bytes.data, bytes.size, ret_trampoline);
	wasm_byte_vec_delete(&bytes);
	return error;
}

/* Instantiates the trampoline and finds its functions. It has no start function that could trap. */
static struct wasmtime_error *shim_trampoline_start(
	struct shim *s, struct wasmtime_context *context)
{
	struct wasmtime_extern imports[CALLS_MAX + 1], export;
	struct wasmtime_instance instance;
	struct wasm_trap_t *trap = NULL;
	struct wasmtime_error *error;

	for (size_t i = 0; i < call_table_len; i++)
		imports[i] = (struct wasmtime_extern){ .kind = WASMTIME_EXTERN_FUNC,
			.of.func = s->bindings[i].original };
	imports[call_table_len] = s->memory;
	error = wasmtime_instance_new(
		context, s->trampoline, imports, call_table_len + 1, &instance, &trap);
	if (trap)
		wasm_trap_delete(trap);
	if (error || trap)
		return error ?: wasmtime_error_new("the trampoline trapped");
	for (size_t i = 0; i < call_table_len; i++) {
		const char *name = call_table[i].name;

		if (!wasmtime_instance_export_get(context, &instance, name, strlen(name), &export))
			return wasmtime_error_new("the trampoline is incomplete");
		s->bindings[i].forward = export.of.func;
	}
	s->has_trampoline = true;
	return NULL;
}

static struct wasm_trap_t *shim_trap_from_error(struct wasmtime_error *error)
{
	struct wasm_byte_vec_t text;
	struct wasm_trap_t *trap;

	wasmtime_error_message(error, &text);
	trap = wasmtime_trap_new((const char *)text.data, text.size);
	wasm_byte_vec_delete(&text);
	wasmtime_error_delete(error);
	return trap;
}

/* Lets the engine answer. The result is in values[0]. */
static struct wasm_trap_t *shim_forward(
	struct shim_call *c, struct shim_binding *b, union wasmtime_val_raw *values, size_t len)
{
	struct wasm_trap_t *trap = NULL;
	struct wasmtime_error *error = NULL;

	if (!c->shim->has_trampoline)
		error = shim_trampoline_start(c->shim, c->context);
	if (!error)
		error = wasmtime_func_call_unchecked(c->context, &b->forward, values, len, &trap);
	if (!error && !trap && b->entry->after && values[0].i32 == WASI_ESUCCESS)
		b->entry->after(&c->call);
	return error ? shim_trap_from_error(error) : trap;
}

/* struct call's check_fd(): asks the engine for the descriptor's status. */
static int shim_check_fd(struct call *call, uint32_t fd, uint8_t *scratch)
{
	struct shim_call *c = (struct shim_call *)call;
	union wasmtime_val_raw values[2] = {
		{ .i32 = (int32_t)fd },
		{ .i32 = (int32_t)(uint32_t)(scratch - call->mem.data) },
	};
	struct wasm_trap_t *trap;

	for (size_t i = 0; i < call_table_len; i++) {
		if (call_table[i].fn != call_fd_fdstat_get)
			continue;
		trap = shim_forward(c, &c->shim->bindings[i], values, ARRAY_LEN(values));
		if (trap) {
			wasm_trap_delete(trap);
			return WASI_EIO;
		}
		return values[0].i32;
	}
	return WASI_EBADF;
}

static bool shim_find_memory(struct shim *s, struct wasmtime_caller *caller)
{
	static const char name[] = "memory";

	if (!s->has_memory)
		s->has_memory =
			wasmtime_caller_export_get(caller, name, strlen(name), &s->memory) &&
			s->memory.kind == WASMTIME_EXTERN_MEMORY;
	return s->has_memory;
}

/* A call of the guest. Its arguments are in values; so is the result, at the first place. */
static void *shim_enter(
	void *env, struct wasmtime_caller *caller, union wasmtime_val_raw *values, size_t len)
{
	static const char no_memory[] = "the module exports no memory";
	static const char exited[] = "exited";
	struct shim_binding *b = env;
	struct shim *s = b->shim;
	struct shim_call c = {
		.call = { .streams = s->streams,
			.deadline_ms = s->deadline_ms,
			.check_fd = shim_check_fd },
		.shim = s,
		.context = wasmtime_caller_context(caller),
	};
	int r;

	if (!shim_find_memory(s, caller))
		return wasmtime_trap_new(no_memory, strlen(no_memory));
	c.call.mem.data = wasmtime_memory_data(c.context, &s->memory.of.memory);
	c.call.mem.size = wasmtime_memory_data_size(c.context, &s->memory.of.memory);
	for (size_t i = 0; b->entry->params[i]; i++)
		if (b->entry->params[i] == 'i')
			c.call.arg[i] = (uint32_t)values[i].i32;
	r = b->entry->fn(&c.call);
	if (r == CALL_FORWARD)
		return shim_forward(&c, b, values, len);
	if (r == CALL_EXPIRED)
		return wasmtime_trap_new_code(WASMTIME_TRAP_CODE_INTERRUPT);
	if (r == CALL_DRAINED) {
		drain_end(s->streams);
		s->streams->exited = true;
	}
	if (r == CALL_DRAINED || r == CALL_EXITED)
		return wasmtime_trap_new(exited, strlen(exited));
	if (r >= CALL_CODE)
		values[0].i32 = r - CALL_CODE;
	else
		values[0].i32 = r < 0 ? wasi_errno(-r) : WASI_ESUCCESS;
	return NULL;
}

static struct wasm_functype_t *shim_make_type(const struct call_entry *entry)
{
	struct wasm_valtype_t *kinds[CALL_ARGS_MAX], *result;
	struct wasm_valtype_vec_t in, out;
	size_t n = 0;

	for (; entry->params[n]; n++)
		kinds[n] = wasm_valtype_new(entry->params[n] == 'I' ? WASM_I64 : WASM_I32);
	wasm_valtype_vec_new(&in, n, kinds);
	result = entry->no_result ? NULL : wasm_valtype_new(WASM_I32);
	wasm_valtype_vec_new(&out, entry->no_result ? 0 : 1, &result);
	return wasm_functype_new(&in, &out);
}

/* Puts our function into the linker. */
static struct wasmtime_error *shim_define(struct shim_binding *b, struct wasmtime_linker *linker)
{
	struct wasm_functype_t *type = shim_make_type(b->entry);
	const char *name = b->entry->name;
	struct wasmtime_error *error;

	error = wasmtime_linker_define_func_unchecked(linker, WASI_MODULE, strlen(WASI_MODULE),
		name, strlen(name), type, shim_enter, b, NULL);
	wasm_functype_delete(type);
	return error;
}

/* Takes note of the engine's function before ours is put over it. */
static struct wasmtime_error *shim_find_original(
	struct shim_binding *b, struct wasmtime_context *context, struct wasmtime_linker *linker)
{
	const char *name = b->entry->name;
	struct wasmtime_extern found;

	if (!wasmtime_linker_get(
		    linker, context, WASI_MODULE, strlen(WASI_MODULE), name, strlen(name), &found))
		return wasmtime_error_new("the engine's WASI is incomplete");
	b->original = found.of.func;
	return NULL;
}

struct wasmtime_error *shim_new(struct wasmtime_module *trampoline,
	struct wasmtime_context *context, struct wasmtime_linker *linker, struct streams *streams,
	uint64_t deadline_ms, struct shim **ret_shim)
{
	struct wasmtime_error *error = NULL;
	struct shim *s = calloc(1, sizeof(*s));

	assert(call_table_len <= CALLS_MAX && wasmedge_table_len <= CALLS_MAX);
	if (!s)
		return wasmtime_error_new("out of memory");
	s->trampoline = trampoline;
	s->streams = streams;
	s->deadline_ms = deadline_ms;
	wasmtime_linker_allow_shadowing(linker, true);
	for (size_t i = 0; i < call_table_len && !error; i++) {
		s->bindings[i].shim = s;
		s->bindings[i].entry = &call_table[i];
		error = shim_find_original(&s->bindings[i], context, linker);
		if (!error)
			error = shim_define(&s->bindings[i], linker);
	}
	if (error) {
		shim_free(s);
		return error;
	}
	*ret_shim = s;
	return NULL;
}

static bool shim_import_is(struct wasm_importtype_t *import, const struct call_entry *entry)
{
	const struct wasm_byte_vec_t *module = wasm_importtype_module(import);
	const struct wasm_byte_vec_t *name = wasm_importtype_name(import);
	struct wasm_functype_t *type = wasm_externtype_as_functype(wasm_importtype_type(import));

	/* All arguments of these calls have 32 bits, so their number tells the two generations
	 * apart. The linker refuses what differs otherwise. */
	return type && wasm_name_is(module, WASI_MODULE) && wasm_name_is(name, entry->name) &&
	       wasm_functype_params(type)->size == strlen(entry->params);
}

struct wasmtime_error *shim_add_sockets(
	struct shim *s, struct wasmtime_module *module, struct wasmtime_linker *linker)
{
	struct wasmtime_error *error = NULL;
	struct wasm_importtype_vec_t imports;

	wasmtime_module_imports(module, &imports);
	for (size_t i = 0; i < imports.size; i++) {
		for (size_t j = 0; j < wasmedge_table_len && !error; j++) {
			if (!shim_import_is(imports.data[i], &wasmedge_table[j]))
				continue;
			s->sockets[j].shim = s;
			s->sockets[j].entry = &wasmedge_table[j];
			error = shim_define(&s->sockets[j], linker);
		}
	}
	wasm_importtype_vec_delete(&imports);
	return error;
}

struct shim *shim_free(struct shim *s)
{
	free(s);
	return NULL;
}
