/* SPDX-License-Identifier: MIT */
/*
 * There is one engine and one compiled module for the process. Both are only read once they are
 * made, so instances on any thread share them without a lock.
 */
#include "guest/compiled.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wasmtime.h>

#include "base/owner.h"
#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/wasm_module.h"
#include "guest/shim.h"

/* Of wasmtime's C header, whose names of values don't reach ours. */
enum strategy { STRATEGY_CRANELIFT = 1, STRATEGY_WINCH = 2 };

static int compiled_start_engine(struct compiled *p, enum strategy strategy)
{
	struct wasm_config_t *config;

	/* Backtraces with files and lines: the configuration reads this, and knows no other way. */
	(void)setenv("WASMTIME_BACKTRACE_DETAILS", "1", 0);
	config = wasm_config_new();
	if (config) {
		wasmtime_config_epoch_interruption_set(config, true);
		wasmtime_config_strategy_set(config, (uint8_t)strategy);
		p->engine = wasm_engine_new_with_config(config);
	}
	return p->engine ? 0
			 : guest_fail(&p->config->end, GUEST_EXIT_SETUP,
				   "the engine can't be started");
}

/*
 * Winch compiles in a fifth of Cranelift's time. Its code is a few times slower, and it doesn't
 * know all of WebAssembly: what it refuses goes to Cranelift. Only on x86-64 is it kept as well as
 * that.
 */
static int compiled_load(struct compiled *p)
{
	struct guest_config *config = p->config;
	int r = MODULE_NOT_QUICK;

#ifdef __x86_64__
	if (config->quick) {
		r = compiled_start_engine(p, STRATEGY_WINCH);
		if (r == 0)
			r = wasm_module_load(p->engine, config->module, config->cache, true,
				&config->end, &p->module);
		if (r == MODULE_NOT_QUICK)
			wasm_engine_delete(take_ptr(p->engine));
	}
#endif
	if (r == MODULE_NOT_QUICK)
		r = compiled_start_engine(p, STRATEGY_CRANELIFT);
	if (r == 0 && !p->module)
		r = wasm_module_load(
			p->engine, config->module, config->cache, false, &config->end, &p->module);
	return r;
}

int compiled_open(struct compiled *p, struct guest_config *config)
{
	struct wasmtime_error *error;
	int r;

	*p = (struct compiled){ .config = config };
	r = compiled_load(p);
	if (r != 0)
		return r;
	r = config->timeout_ms ? ticker_start(&p->ticker, p->engine) : 0;
	if (r < 0)
		return guest_fail(
			&config->end, GUEST_EXIT_SETUP, "can't start a thread: %s", strerror(-r));
	error = shim_trampoline_new(p->engine, &p->trampoline);
	return error ? guest_fail_engine(&p->config->end, error, "the trampoline can't be made")
		     : 0;
}

void compiled_close(struct compiled *p)
{
	ticker_stop(&p->ticker);
	if (p->trampoline)
		wasmtime_module_delete(p->trampoline);
	if (p->module)
		wasmtime_module_delete(p->module);
	if (p->engine)
		wasm_engine_delete(p->engine);
}
