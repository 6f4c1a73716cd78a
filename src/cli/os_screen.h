/* SPDX-License-Identifier: MIT */
/*
 * What `wasmrun os` prints of what happens, in one of three looks: for a person at a terminal, a
 * block with the addresses, then the application's lines, and ours where something happens; for
 * scripts, addresses as lines on standard output and all else on standard error; the same as JSON
 * objects. Nothing of it waits for a reader.
 */
#ifndef CLI_OS_SCREEN_H
#define CLI_OS_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct log_line;
struct os_run;
struct os_run_config;

enum os_screen_look {
	OS_SCREEN_LINES,
	OS_SCREEN_JSON,
	OS_SCREEN_TERMINAL, /* standard output and standard error are one */
};

/* Embedded in its owner, who may set `namespaces`. */
struct os_screen {
	const struct os_run_config *config;
	const struct os_run *run;
	uv_timer_t hold_timer;
	uint64_t held;      /* number of the first line that waits for the block; 0: none */
	int namespaces;     /* 0, or the negative errno of making them */
	uint64_t opened_ms; /* monotonic */
	uint64_t ready_ms;  /* the same, of the application */
	uint64_t unshown;   /* lines that standard error had no room for */
	enum os_screen_look look;
	bool begun;       /* no line waits for the block any more */
	bool block_waits; /* for the public address */
	bool page_shown;  /* before the application has been running */
};

/* Sets what the log looks like, so nothing is logged before. Its level is set already. */
void os_screen_open(struct os_screen *s, const struct os_run_config *config);

/* `run` is to be opened, and outlives it. The second one is idempotent. */
void os_screen_start(struct os_screen *s, uv_loop_t *loop, const struct os_run *run);
void os_screen_close(struct os_screen *s);

/* What the application, its build or the supervisor says. */
void os_screen_line(struct os_screen *s, const struct log_line *line);

/* The events of os/run.h. `what` is built: "C". */
void os_screen_building(struct os_screen *s, const char *what);
void os_screen_ready(struct os_screen *s);
void os_screen_again(struct os_screen *s);
void os_screen_down(struct os_screen *s);
void os_screen_waits(struct os_screen *s);
void os_screen_public(struct os_screen *s);

/* A signal ends us: from here on a terminal is told what goes wrong alone. */
void os_screen_ends(struct os_screen *s);

#endif
