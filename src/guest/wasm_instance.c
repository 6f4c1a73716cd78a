/* SPDX-License-Identifier: MIT */
/*
 * The order of a run: store with its limits, the engine's WASI, the shim over it, the check of what
 * the module imports, the engine's instance, _start. A struct wasm_instance owns them all, and
 * frees them in reverse.
 *
 * A run ends in one of five ways: _start returns; the guest calls proc_exit(); a drain is over; the
 * guest traps; its time is over. The engine tells all but the first as a trap or an error of its
 * own. So `exited` of struct streams, which the shim sets, is looked at before what the engine
 * says.
 */
#include "guest/wasm_instance.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <wasmtime.h>

#include "app/module.h"
#include "base/clock.h"
#include "base/owner.h"
#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/wasm_module.h"
#include "guest/compiled.h"
#include "guest/shim.h"
#include "guest/streams.h"
#include "guest/wasi_setup.h"

/* Entries of all tables of a guest: function pointers, eight bytes each; large programs have some
 * ten thousand. */
#define TABLE_ELEMENTS_MAX (4 << 20)

/* The engine's limits on size hold for each table and each memory, so their number is limited, too.
 * Preview 1 knows one memory, compilers make one table or two, and the trampoline is the second
 * instance. */
#define TABLES_MAX 4
#define MEMORIES_MAX 1
#define INSTANCES_MAX 2

struct wasm_instance {
	const struct compiled *program;
	struct guest_config *config; /* the program's */
	struct guest_end *end;       /* the caller's */
	struct wasmtime_store *store;
	struct wasmtime_context *context; /* the store's */
	struct wasmtime_linker *linker;
	struct shim *shim;
	struct streams streams;
};

static void wasm_instance_deinit(struct wasm_instance *i)
{
	if (i->linker)
		wasmtime_linker_delete(i->linker);
	if (i->store)
		wasmtime_store_delete(i->store);
	shim_free(i->shim);
	streams_deinit(&i->streams);
}

/* The store, its limits, WASI and the linker. */
static int wasm_instance_open(struct wasm_instance *i, const struct wasm_instance_io *io)
{
	uint64_t timeout_ms = i->config->timeout_ms;
	struct wasi_config_t *wasi;
	struct wasmtime_error *error;
	int r;

	i->store = wasmtime_store_new(i->program->engine, NULL, NULL);
	i->linker = wasmtime_linker_new(i->program->engine);
	if (!i->store || !i->linker)
		return guest_fail(i->end, GUEST_EXIT_SETUP, "out of memory");
	i->context = wasmtime_store_context(i->store);
	wasmtime_store_limiter(i->store, (int64_t)i->config->memory_max, TABLE_ELEMENTS_MAX,
		INSTANCES_MAX, TABLES_MAX, MEMORIES_MAX);
	wasmtime_context_set_epoch_deadline(i->context, ticker_epochs(timeout_ms));

	r = wasi_setup(i->config, io, i->end, &wasi);
	if (r != 0)
		return r;
	error = wasmtime_context_set_wasi(i->context, wasi);
	if (!error)
		error = wasmtime_linker_define_wasi(i->linker);
	if (!error)
		error = shim_new(i->program->trampoline, i->context, i->linker, &i->streams,
			timeout_ms ? clock_now_ms() + timeout_ms : 0, &i->shim);
	if (!error)
		error = shim_add_sockets(i->shim, i->program->module, i->linker);
	return error ? guest_fail_engine(i->end, error, "WASI can't be set up") : 0;
}

/* Takes the listening socket over, as the descriptor behind the directories. */
static int wasm_instance_take_listener(struct wasm_instance *i)
{
	struct guest_config *config = i->config;
	int listening = 0, flags;
	socklen_t len = sizeof(listening);

	if (config->listen_fd < 0)
		return 0;
	flags = fcntl(config->listen_fd, F_GETFL);
	if (flags < 0 ||
		getsockopt(config->listen_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
		!listening || fcntl(config->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		fcntl(config->listen_fd, F_SETFD, FD_CLOEXEC) < 0)
		return guest_fail(i->end, GUEST_EXIT_SETUP, "descriptor %d is no listening socket",
			config->listen_fd);
	streams_set_listener(&i->streams, take_fd(&config->listen_fd), wasi_listener_fd(config));
	i->streams.status_fd = config->status_fd;
	return 0;
}

/* A program that has trapped may have run out of memory: say how much it had. */
static void wasm_instance_add_memory(struct wasm_instance *i, struct wasmtime_instance *instance)
{
	static const char name[] = "memory";
	uint64_t max = i->config->memory_max, size;
	size_t len = strlen(i->end->why);
	struct wasmtime_extern memory;

	if (!wasmtime_instance_export_get(i->context, instance, name, strlen(name), &memory) ||
		memory.kind != WASMTIME_EXTERN_MEMORY)
		return;
	size = wasmtime_memory_data_size(i->context, &memory.of.memory);
	if (size >= max / 2)
		(void)snprintf(i->end->why + len, sizeof(i->end->why) - len,
			", with %" PRIu64 " of %" PRIu64 " MiB of memory in use", size >> 20,
			max >> 20);
}

/* Tells what the engine says: the last line is the cause, the lines before it are the backtrace. */
static void wasm_instance_fail(
	struct wasm_instance *i, const char *what, const struct wasm_byte_vec_t *message)
{
	static const char trap[] = "wasm trap: ";
	const char *text = (const char *)message->data;
	size_t len = strnlen(text, message->size), start;

	while (len > 0 && text[len - 1] == '\n')
		len--;
	for (start = len; start > 0 && text[start - 1] != '\n';)
		start--;
	if (start > 0)
		guest_say(text, len);
	while (start < len && text[start] == ' ')
		start++;
	if (len - start > strlen(trap) && memcmp(text + start, trap, strlen(trap)) == 0)
		start += strlen(trap);
	guest_fail(i->end, GUEST_EXIT_TRAP, "it %s: %.*s", what, (int)(len - start), text + start);
}

/* The end by a trap: its message has the backtrace. Drops the trap. */
static void wasm_instance_end_by_trap(struct wasm_instance *i, struct wasm_trap_t *trap)
{
	struct wasm_byte_vec_t text;
	uint8_t trap_code;

	if (wasmtime_trap_code(trap, &trap_code) && trap_code == WASMTIME_TRAP_CODE_INTERRUPT) {
		guest_fail(i->end, GUEST_EXIT_DEADLINE, "it was ended after %" PRIu64 " ms",
			i->config->timeout_ms);
	} else {
		wasm_trap_message(trap, &text);
		wasm_instance_fail(i, "trapped", &text);
		wasm_byte_vec_delete(&text);
	}
	wasm_trap_delete(trap);
}

/* The end by an error of the engine's. The trap by which the shim ends a run is told as one, too.
 */
static void wasm_instance_end_by_error(struct wasm_instance *i, struct wasmtime_error *error)
{
	struct wasm_byte_vec_t text;

	if (i->streams.exited) {
		i->end->code = i->streams.exit_code;
	} else {
		wasmtime_error_message(error, &text);
		wasm_instance_fail(i, "failed", &text);
		wasm_byte_vec_delete(&text);
	}
	wasmtime_error_delete(error);
}

static void wasm_instance_run_start(struct wasm_instance *i)
{
	static const char name[] = "_start";
	struct wasmtime_instance instance = { 0 };
	struct wasm_trap_t *trap = NULL;
	struct wasmtime_extern start;
	struct wasmtime_error *error;
	bool linked;

	error = wasmtime_linker_instantiate(
		i->linker, i->context, i->program->module, &instance, &trap);
	linked = !error && !trap;
	if (linked &&
		!wasmtime_instance_export_get(i->context, &instance, name, strlen(name), &start)) {
		guest_fail(i->end, GUEST_EXIT_NO_PROGRAM, "'%s' has no _start", i->config->module);
		return;
	}
	if (linked)
		error = wasmtime_func_call(i->context, &start.of.func, NULL, 0, NULL, 0, &trap);
	if (error)
		wasm_instance_end_by_error(i, error);
	else if (trap)
		wasm_instance_end_by_trap(i, trap);
	if (linked && i->end->reason == GUEST_EXIT_TRAP)
		wasm_instance_add_memory(i, &instance);
}

static int wasm_instance_vet(struct wasm_instance *i)
{
	return wasm_module_vet(i->program->module, i->context, i->linker, i->config->module,
		i->config->memory_max, i->end);
}

int wasm_instance_check(const struct compiled *p)
{
	_cleanup_(wasm_instance_deinit) struct wasm_instance i = {
		.program = p, .config = p->config, .end = &p->config->end
	};
	static const struct wasm_instance_io none = { .in = -1, .out = -1, .err = -1 };
	int r;

	streams_init(&i.streams);
	r = wasm_instance_open(&i, &none);
	return r != 0 ? r : wasm_instance_vet(&i);
}

/*
 * A program that was given a listener and has never turned to it serves nobody, whatever it has
 * meant to do. What that was can't be known: Go's net.Listen() is a network inside the program,
 * Rust's bind() fails before any call, and php-cgi has another way to be asked.
 */
static void wasm_instance_end_unheard(struct wasm_instance *i)
{
	char what[APP_END_MAX], hint[MODULE_HINT_MAX], why[APP_WHY_MAX];
	struct module_info info;

	(void)module_inspect(i->config->module, &info, why);
	if (i->end->reason == GUEST_EXIT_OWN)
		(void)snprintf(what, sizeof(what), "exit code %" PRIu32, i->end->code);
	else
		(void)snprintf(what, sizeof(what), "%s", i->end->why);
	guest_fail(i->end, i->end->reason, "it ended before it took a connection: %s; %s", what,
		module_hint(&info, APP_LISTENER, wasi_listener_fd(i->config), hint));
}

void wasm_instance_run(
	struct compiled *p, const struct wasm_instance_io *io, struct guest_end *ret_end)
{
	_cleanup_(wasm_instance_deinit) struct wasm_instance i = {
		.program = p, .config = p->config, .end = ret_end
	};
	int r;

	*ret_end = (struct guest_end){ 0 };
	streams_init(&i.streams);
	i.streams.broker_fd = p->config->broker_fd;
	i.streams.walled = p->config->walled;
	if (io) {
		i.streams.standard[0].fd = io->in;
		i.streams.standard[1].fd = io->out;
		i.streams.standard[2].fd = io->err;
	}
	r = io ? 0 : wasm_instance_take_listener(&i);
	if (r == 0)
		r = wasm_instance_open(&i, io);
	/* With io it is run for each request, and was checked once at the start. */
	if (r == 0 && !io)
		r = wasm_instance_vet(&i);
	if (r != 0)
		return;
	if (i.config->timeout_ms)
		ticker_hold(&p->ticker);
	wasm_instance_run_start(&i);
	if (i.config->timeout_ms)
		ticker_release(&p->ticker);
	if (i.end->reason == GUEST_EXIT_OWN)
		streams_end_well(&i.streams);
	if (i.config->listens && !io && i.streams.step == STREAMS_BEGUN && !i.streams.drain_ms)
		wasm_instance_end_unheard(&i);
}
