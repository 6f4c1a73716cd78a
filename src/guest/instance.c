/* SPDX-License-Identifier: MIT */
/*
 * The order of things: engine, module, store with its limits, WASI, linker with the shim over it,
 * instance, _start. A struct instance owns them all and gives them back in reverse.
 */
#include "guest/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <wasmtime.h>

#include "base/clock.h"
#include "base/err.h"
#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/module.h"
#include "guest/shim.h"
#include "guest/streams.h"
#include "guest/wasi_setup.h"

/* Entries of all tables of a guest: function pointers, eight bytes each; large programs have some
 * ten thousand. */
#define TABLE_ELEMENTS_MAX (4 << 20)

/* The limits above and of memory are those of each table and each memory, so their number counts.
 * Preview 1 knows one memory, compilers make one table or two, and the trampoline is the second
 * instance. */
#define TABLES_MAX 4
#define MEMORIES_MAX 1
#define INSTANCES_MAX 2

struct instance {
	const struct guest_config *config;
	struct wasm_engine_t *engine;
	struct wasmtime_module *module;
	struct wasmtime_store *store;
	struct wasmtime_context *context; /* the store's */
	struct wasmtime_linker *linker;
	struct shim *shim;
	struct streams streams;
	uint64_t deadline_ms;
};

/* The engine whose epoch the alarm moves on; a signal handler has no other way to know. */
static struct wasm_engine_t *alarm_engine;

static void alarm_ring(int signal_number)
{
	/* Async-signal-safe by its documentation. */
	wasmtime_engine_increment_epoch(alarm_engine);
}

/*
 * The guest's code looks at the engine's epoch in every loop, the calls that wait look at the
 * clock. The alarm comes once more each second, for code that was in a call of the engine's when it
 * rang.
 */
static void alarm_set(struct instance *i)
{
	struct itimerval timer = {
		.it_value = { .tv_sec = (time_t)(i->config->timeout_ms / 1000),
			.tv_usec = (suseconds_t)(i->config->timeout_ms % 1000 * 1000) },
		.it_interval = { .tv_sec = 1 },
	};
	struct sigaction ring = { .sa_handler = alarm_ring };

	if (i->config->timeout_ms == 0)
		return;
	alarm_engine = i->engine;
	sigaction(SIGALRM, &ring, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	i->deadline_ms = clock_now_ms() + i->config->timeout_ms;
}

static void alarm_clear(void)
{
	static const struct itimerval never;

	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_IGN);
}

static void instance_deinit(struct instance *i)
{
	alarm_clear();
	if (i->linker)
		wasmtime_linker_delete(i->linker);
	if (i->store)
		wasmtime_store_delete(i->store);
	if (i->module)
		wasmtime_module_delete(i->module);
	shim_free(i->shim);
	if (i->engine)
		wasm_engine_delete(i->engine);
	streams_deinit(&i->streams);
}

/* Tells what the engine says about a failed set-up, and drops it. */
static int setup_failed(struct wasmtime_error *error, const char *what)
{
	struct wasm_byte_vec_t text;
	int code;

	wasmtime_error_message(error, &text);
	code = guest_fail(GUEST_EXIT_SETUP, "%s: %.*s", what, (int)text.size, (char *)text.data);
	wasm_byte_vec_delete(&text);
	wasmtime_error_delete(error);
	return code;
}

static int create_engine(struct instance *i)
{
	struct wasm_config_t *config;

	/* Backtraces with files and lines: the configuration reads this, and knows no other way. */
	(void)setenv("WASMTIME_BACKTRACE_DETAILS", "1", 0);
	config = wasm_config_new();
	if (config) {
		wasmtime_config_epoch_interruption_set(config, true);
		i->engine = wasm_engine_new_with_config(config);
	}
	return i->engine ? 0 : guest_fail(GUEST_EXIT_SETUP, "the engine can't be started");
}

/* The store, its limits, WASI and the linker. */
static int create_store(struct instance *i)
{
	struct wasi_config_t *wasi;
	struct wasmtime_error *error;
	int r;

	i->store = wasmtime_store_new(i->engine, NULL, NULL);
	i->linker = wasmtime_linker_new(i->engine);
	if (!i->store || !i->linker)
		return guest_fail(GUEST_EXIT_SETUP, "out of memory");
	i->context = wasmtime_store_context(i->store);
	wasmtime_store_limiter(i->store, (int64_t)i->config->memory_max, TABLE_ELEMENTS_MAX,
		INSTANCES_MAX, TABLES_MAX, MEMORIES_MAX);
	wasmtime_context_set_epoch_deadline(i->context, 1);

	r = wasi_setup(i->config, &wasi);
	if (r != 0)
		return r;
	error = wasmtime_context_set_wasi(i->context, wasi);
	if (!error)
		error = wasmtime_linker_define_wasi(i->linker);
	if (!error)
		error = shim_new(
			i->engine, i->context, i->linker, &i->streams, i->deadline_ms, &i->shim);
	return error ? setup_failed(error, "WASI can't be set up") : 0;
}

/* Takes the listening socket over, as the descriptor behind the directories. */
static int take_listener(struct instance *i, struct guest_config *config)
{
	int listening = 0, flags;
	socklen_t len = sizeof(listening);

	if (config->listen_fd < 0)
		return 0;
	flags = fcntl(config->listen_fd, F_GETFL);
	if (flags < 0 ||
		getsockopt(config->listen_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
		!listening || fcntl(config->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		fcntl(config->listen_fd, F_SETFD, FD_CLOEXEC) < 0)
		return guest_fail(GUEST_EXIT_SETUP, "descriptor %d is no listening socket",
			config->listen_fd);
	streams_set_listener(&i->streams, take_fd(&config->listen_fd), wasi_listener_fd(config));
	i->streams.status_fd = take_fd(&config->status_fd);
	return 0;
}

/* What a program that ran short would like to know with its trap. */
static void tell_memory(struct instance *i, struct wasmtime_instance *instance)
{
	static const char name[] = "memory";
	uint64_t max = i->config->memory_max, size;
	struct wasmtime_extern memory;

	if (!wasmtime_instance_export_get(i->context, instance, name, strlen(name), &memory))
		return;
	size = wasmtime_memory_data_size(i->context, &memory.of.memory);
	if (size >= max / 2)
		fprintf(stderr,
			"wasmrun-guest: it had %" PRIu64 " of %" PRIu64
			" MiB of memory (--memory-max)\n",
			size >> 20, max >> 20);
}

/* The end by a trap: its message has the backtrace. Drops the trap. */
static int tell_trap(struct instance *i, struct wasm_trap_t *trap)
{
	struct wasm_byte_vec_t text;
	uint8_t trap_code;
	int code;

	if (wasmtime_trap_code(trap, &trap_code) && trap_code == WASMTIME_TRAP_CODE_INTERRUPT) {
		wasm_trap_delete(trap);
		return guest_fail(GUEST_EXIT_DEADLINE, "'%s' was ended after %" PRIu64 " ms",
			i->config->module, i->config->timeout_ms);
	}
	wasm_trap_message(trap, &text);
	code = guest_fail(GUEST_EXIT_TRAP, "'%s' trapped: %.*s", i->config->module, (int)text.size,
		(char *)text.data);
	wasm_byte_vec_delete(&text);
	wasm_trap_delete(trap);
	return code;
}

/* The end by an error of the engine's: proc_exit() is one, and the end of draining. Drops the
 * error. */
static int tell_error(struct instance *i, struct wasmtime_error *error)
{
	struct wasm_byte_vec_t text;
	int32_t status = 0;

	if (i->streams.drained || wasmtime_error_exit_status(error, &status)) {
		wasmtime_error_delete(error);
		return status;
	}
	wasmtime_error_message(error, &text);
	guest_fail(GUEST_EXIT_TRAP, "'%s' failed: %.*s", i->config->module, (int)text.size,
		(char *)text.data);
	wasm_byte_vec_delete(&text);
	wasmtime_error_delete(error);
	return GUEST_EXIT_TRAP;
}

static int run_start(struct instance *i)
{
	static const char name[] = "_start";
	struct wasmtime_instance instance = { 0 };
	struct wasm_trap_t *trap = NULL;
	struct wasmtime_extern start;
	struct wasmtime_error *error;
	int r = 0;

	error = wasmtime_linker_instantiate(i->linker, i->context, i->module, &instance, &trap);
	if (error)
		return tell_error(i, error);
	if (trap)
		return tell_trap(i, trap);
	if (!wasmtime_instance_export_get(i->context, &instance, name, strlen(name), &start))
		return guest_fail(GUEST_EXIT_NO_PROGRAM, "'%s' has no _start", i->config->module);
	error = wasmtime_func_call(i->context, &start.of.func, NULL, 0, NULL, 0, &trap);
	if (error)
		r = tell_error(i, error);
	else if (trap)
		r = tell_trap(i, trap);
	if (r == GUEST_EXIT_TRAP)
		tell_memory(i, &instance);
	return r;
}

int instance_run(struct guest_config *config)
{
	_cleanup_(instance_deinit) struct instance i = { .config = config };
	int r;

	streams_init(&i.streams);
	r = create_engine(&i);
	if (r == 0)
		r = module_load(i.engine, config->module, config->cache, &i.module);
	if (r == 0)
		r = take_listener(&i, config);
	if (r != 0)
		return r;
	alarm_set(&i);
	r = create_store(&i);
	if (r == 0)
		r = module_check(i.module, i.context, i.linker, config->module, config->memory_max);
	return r != 0 ? r : run_start(&i);
}
