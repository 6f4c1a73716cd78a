/* SPDX-License-Identifier: MIT */
/*
 * The calls between the guest, call_table and the engine. The guest's memory is looked up at the
 * first call and kept: it is the store's, and doesn't change for an instance.
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
#include "guest/wasmedge.h"

/* Rows of call_table, and of wasmedge_table, asserted below. */
#define CALLS_MAX 16

/* What the engine hands back with a call: which one it is, and of whom. */
struct binding {
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
	struct binding bindings[CALLS_MAX];
	struct binding
		sockets[CALLS_MAX]; /* those that the module imports; they have no original */
};

/* The engine's view of a call; the first member is what call_table's functions get. */
struct shim_call {
	struct call call;
	struct shim *shim;
	struct wasmtime_context *context;
};

static void write_type(FILE *out, const struct call_entry *entry)
{
	fputs("(param", out);
	for (const char *param = entry->params; *param; param++)
		fputs(*param == 'I' ? " i64" : " i32", out);
	fputs(entry->no_result ? ")" : ") (result i32)", out);
}

/* The trampoline in WASM's text format; -ENOMEM is told as NULL. */
static char *trampoline_text(size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	fputs("(module", out);
	for (size_t i = 0; i < call_table_len; i++) {
		fprintf(out, "(import \"wasi\" \"%s\" (func ", call_table[i].name);
		write_type(out, &call_table[i]);
		fputs("))", out);
	}
	fputs("(import \"guest\" \"memory\" (memory 0)) (export \"memory\" (memory 0))", out);
	for (size_t i = 0; i < call_table_len; i++) {
		fprintf(out, "(func (export \"%s\") ", call_table[i].name);
		write_type(out, &call_table[i]);
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
	char *text = trampoline_text(&len);

	if (!text)
		return wasmtime_error_new("out of memory");
	error = wasmtime_wat2wasm(text, len, &bytes);
	free(text);
	if (!error)
		error = wasmtime_module_new(engine, bytes.data, bytes.size, ret_trampoline);
	wasm_byte_vec_delete(&bytes);
	return error;
}

/* Instantiates the trampoline and finds its functions. A trap can't come from it: it has no start.
 */
static struct wasmtime_error *trampoline_start(struct shim *s, struct wasmtime_context *context)
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

static struct wasm_trap_t *trap_from_error(struct wasmtime_error *error)
{
	struct wasm_byte_vec_t text;
	struct wasm_trap_t *trap;

	wasmtime_error_message(error, &text);
	trap = wasmtime_trap_new((const char *)text.data, text.size);
	wasm_byte_vec_delete(&text);
	wasmtime_error_delete(error);
	return trap;
}

/* Has the engine answer; the result is in values[0], and taken note of if it is success. */
static struct wasm_trap_t *forward(
	struct shim_call *c, struct binding *b, union wasmtime_val_raw *values, size_t len)
{
	struct wasm_trap_t *trap = NULL;
	struct wasmtime_error *error = NULL;

	if (!c->shim->has_trampoline)
		error = trampoline_start(c->shim, c->context);
	if (!error)
		error = wasmtime_func_call_unchecked(c->context, &b->forward, values, len, &trap);
	if (!error && !trap && b->entry->after && values[0].i32 == WASI_ESUCCESS)
		b->entry->after(&c->call);
	return error ? trap_from_error(error) : trap;
}

/* struct call's check_fd(): asks the engine for the descriptor's status. */
static int check_fd(struct call *call, uint32_t fd, uint8_t *scratch)
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
		trap = forward(c, &c->shim->bindings[i], values, ARRAY_LEN(values));
		if (trap) {
			wasm_trap_delete(trap);
			return WASI_EIO;
		}
		return values[0].i32;
	}
	return WASI_EBADF;
}

static bool find_memory(struct shim *s, struct wasmtime_caller *caller)
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
	struct binding *b = env;
	struct shim *s = b->shim;
	struct shim_call c = {
		.call = { .streams = s->streams,
			.deadline_ms = s->deadline_ms,
			.check_fd = check_fd },
		.shim = s,
		.context = wasmtime_caller_context(caller),
	};
	int r;

	if (!find_memory(s, caller))
		return wasmtime_trap_new(no_memory, strlen(no_memory));
	c.call.mem.data = wasmtime_memory_data(c.context, &s->memory.of.memory);
	c.call.mem.size = wasmtime_memory_data_size(c.context, &s->memory.of.memory);
	for (size_t i = 0; b->entry->params[i]; i++)
		if (b->entry->params[i] == 'i')
			c.call.arg[i] = (uint32_t)values[i].i32;
	r = b->entry->fn(&c.call);
	if (r == CALL_FORWARD)
		return forward(&c, b, values, len);
	if (r == CALL_EXPIRED)
		return wasmtime_trap_new_code(WASMTIME_TRAP_CODE_INTERRUPT);
	if (r == CALL_DRAINED) {
		drain_end(s->streams);
		s->streams->exited = true;
	}
	/* A trap is how a host function ends the guest's run; streams tells the two apart. */
	if (r == CALL_DRAINED || r == CALL_EXITED)
		return wasmtime_trap_new(exited, strlen(exited));
	if (r >= CALL_CODE)
		values[0].i32 = r - CALL_CODE;
	else
		values[0].i32 = r < 0 ? wasi_errno(-r) : WASI_ESUCCESS;
	return NULL;
}

static struct wasm_functype_t *make_type(const struct call_entry *entry)
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
static struct wasmtime_error *binding_define(struct binding *b, struct wasmtime_linker *linker)
{
	struct wasm_functype_t *type = make_type(b->entry);
	const char *name = b->entry->name;
	struct wasmtime_error *error;

	error = wasmtime_linker_define_func_unchecked(linker, WASI_MODULE, strlen(WASI_MODULE),
		name, strlen(name), type, shim_enter, b, NULL);
	wasm_functype_delete(type);
	return error;
}

/* Takes note of the engine's function before ours is put over it. */
static struct wasmtime_error *binding_find(
	struct binding *b, struct wasmtime_context *context, struct wasmtime_linker *linker)
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
		error = binding_find(&s->bindings[i], context, linker);
		if (!error)
			error = binding_define(&s->bindings[i], linker);
	}
	if (error) {
		shim_free(s);
		return error;
	}
	*ret_shim = s;
	return NULL;
}

static bool import_is(struct wasm_importtype_t *import, const struct call_entry *entry)
{
	const struct wasm_byte_vec_t *module = wasm_importtype_module(import);
	const struct wasm_byte_vec_t *name = wasm_importtype_name(import);
	struct wasm_functype_t *type = wasm_externtype_as_functype(wasm_importtype_type(import));
	const struct wasm_valtype_vec_t *params;

	if (!type || module->size != strlen(WASI_MODULE) || name->size != strlen(entry->name) ||
		memcmp(module->data, WASI_MODULE, module->size) != 0 ||
		memcmp(name->data, entry->name, name->size) != 0)
		return false;
	/* All have arguments of 32 bits, so their number tells. What else differs is refused when
	 * the module is linked. */
	params = wasm_functype_params(type);
	return params->size == strlen(entry->params);
}

struct wasmtime_error *shim_add_sockets(
	struct shim *s, struct wasmtime_module *module, struct wasmtime_linker *linker)
{
	struct wasmtime_error *error = NULL;
	struct wasm_importtype_vec_t imports;

	wasmtime_module_imports(module, &imports);
	for (size_t i = 0; i < imports.size; i++) {
		for (size_t j = 0; j < wasmedge_table_len && !error; j++) {
			if (!import_is(imports.data[i], &wasmedge_table[j]))
				continue;
			s->sockets[j].shim = s;
			s->sockets[j].entry = &wasmedge_table[j];
			error = binding_define(&s->sockets[j], linker);
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
