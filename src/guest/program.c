/* SPDX-License-Identifier: MIT */
/* The engine is one for the process; instances on any thread take it from here. */
#include "guest/program.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wasmtime.h>

#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/module.h"
#include "guest/shim.h"

static int start_engine(struct program *p)
{
	struct wasm_config_t *config;
	int r;

	/* Backtraces with files and lines: the configuration reads this, and knows no other way. */
	(void)setenv("WASMTIME_BACKTRACE_DETAILS", "1", 0);
	config = wasm_config_new();
	if (config) {
		wasmtime_config_epoch_interruption_set(config, true);
		p->engine = wasm_engine_new_with_config(config);
	}
	if (!p->engine)
		return guest_fail(GUEST_EXIT_SETUP, "the engine can't be started");
	r = p->config->timeout_ms ? ticker_start(&p->ticker, p->engine) : 0;
	return r < 0 ? guest_fail(GUEST_EXIT_SETUP, "can't start a thread: %s", strerror(-r)) : 0;
}

int program_open(struct program *p, struct guest_config *config)
{
	struct wasmtime_error *error;
	int r;

	*p = (struct program){ .config = config };
	r = start_engine(p);
	if (r == 0)
		r = module_load(p->engine, config->module, config->cache, &p->module);
	if (r != 0)
		return r;
	error = shim_trampoline_new(p->engine, &p->trampoline);
	return error ? guest_fail_engine(error, "the trampoline can't be made") : 0;
}

void program_close(struct program *p)
{
	ticker_stop(&p->ticker);
	if (p->trampoline)
		wasmtime_module_delete(p->trampoline);
	if (p->module)
		wasmtime_module_delete(p->module);
	if (p->engine)
		wasm_engine_delete(p->engine);
}
