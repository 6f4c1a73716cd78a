/* SPDX-License-Identifier: MIT */
/*
 * What each command runs on that serves: the loop, the pool of workers, the signals, the metrics.
 *
 * The first SIGTERM or SIGINT asks for an end, the second one for an end at once, and a third one
 * kills. SIGHUP has a meaning for each command; where the terminal is gone that it was started on,
 * it is as SIGINT.
 */
#ifndef CLI_RUNTIME_H
#define CLI_RUNTIME_H

#include <stdbool.h>
#include <stdio.h>
#include <uv.h>

#include "cli/metrics_server.h"

struct common_values;
struct pump_pool;

enum runtime_signal {
	RUNTIME_TERM,
	RUNTIME_INT,
	RUNTIME_HUP,
	RUNTIME_SIGNALS,
};

struct runtime_handlers {
	void (*end)(void *owner, enum runtime_signal signal); /* the first TERM or INT */
	void (*end_now)(void *owner);                         /* the second */
	void (*hup)(void *owner);
	void (*write_metrics)(void *owner, FILE *out);
	void *owner;
};

struct runtime {
	uv_loop_t loop;
	struct pump_pool *pool;
	uv_signal_t signals[RUNTIME_SIGNALS];
	struct metrics_server metrics;
	struct runtime_handlers handlers;
	bool on_terminal; /* when it was started */
	bool ending, serves_metrics, closing;
};

/* An enum exit_code; not OK: why has been said, and nothing is to be closed. */
int runtime_open(struct runtime *rt, const struct common_values *values,
	const struct runtime_handlers *handlers);

/* runtime_open() does it for a command whose --metrics it was given; an enum exit_code, not OK: why
 * has been said. */
int runtime_open_metrics(struct runtime *rt, const struct common_values *values);
/* Another process is to have the address. Idempotent. */
void runtime_close_metrics(struct runtime *rt);

/*
 * Runs until runtime_close() has been called and everything is gone; returns *code then, as it is
 * at the end. While a name is still being looked up, which can't be cut short, the process ends
 * here and now with that code instead: where no DNS server answers, the wait would be up to half a
 * minute.
 */
int runtime_run(struct runtime *rt, const int *code);

/* After the owner's own things have been closed. Idempotent. */
void runtime_close(struct runtime *rt);

/* Says that `addr` can't be listened on, and what to do; returns EXIT_CODE_LISTEN. `option` is how
 * to choose another. */
int runtime_listen_error(int error, const struct addr *addr, const char *option);

/* Says that --connection-log can't be opened, for that file_why(); returns EXIT_CODE_FILE. */
int runtime_conn_log_error(int error, const char *path);

#endif
