/* SPDX-License-Identifier: MIT */
/*
 * The command line and the environment of the engine that runs one application: wasmrun-guest for
 * modules and folders, the wasmtime command for components. See guest/guest_config.h for what the
 * first one reads.
 */
#ifndef OS_ENGINE_COMMAND_H
#define OS_ENGINE_COMMAND_H

#include <stdbool.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "app/module.h"

struct option_list;

/* All borrowed. */
struct engine_config {
	enum app_interface interface;
	const char *module;        /* file, or the folder of APP_FILES */
	const char *guest_program; /* NULL: wasmrun-guest as it is found */
	const char *preload;       /* NULL: libwasmrun-preload.so as it is found */
	bool quick;                /* wasmrun-guest compiles quickly rather than well */
	bool compile;              /* into cache_dir, and no more: os/compile.h */
	const char *cache_dir;     /* of this module, compiled; NULL: it is compiled each time */
	const char *empty_dir;     /* an empty folder; for a listener alone */
	const struct option_list *dirs, *env;
	const char *fallback;              /* of APP_FILES, as serve/files.h has it; NULL: none */
	const struct option_list *headers; /* likewise, "NAME: VALUE"; NULL: none */
	const char *const *args;
	size_t arg_count;
	int listen_fd;    /* number in the engine (sandbox/spawn.h); -1: it binds its own */
	int status_fd;    /* likewise; gets an empty line for each step; -1: nobody wants to know */
	int broker_fd;    /* likewise, of broker/broker_wire.h; -1: nobody is there to ask */
	bool walled;      /* behind os/wall.h: what the broker doesn't give isn't to be had */
	const char *addr; /* ADDR:PORT of listen_fd, which wasi:http is told */
	/* Of the kinds that answer requests: how long one may go without an answer; 0: for ever. */
	uint64_t request_timeout_ms;
};

/* Words or variables, NULL at the end; owned. */
struct engine_words {
	char **items;
	size_t count;
};

struct engine_command {
	struct engine_words argv, env; /* env is all that the engine is to see */
	char *library;                 /* that it loads from beside us; owned; NULL: none */
	bool sockets; /* it makes its own, unconnected, which the library replaces */
};

/*
 * Take no more connections, serve those that are open, and end with the last of them. wasmtime is
 * brought to that by preload/accepted.h: its own way to an end (SIGINT) answers what still comes on
 * them with 500.
 */
#define ENGINE_DRAIN_SIGNAL SIGUSR1

/*
 * Values of variables stand in env rather than in argv, which anybody can read. Negative errno:
 * ret_why says which engine is missing and how to get it, or what doesn't go together.
 * engine_command_deinit() follows in any case.
 */
int engine_command_init(struct engine_command *command, const struct engine_config *config,
	char ret_why[APP_WHY_MAX]);
void engine_command_deinit(struct engine_command *command);

#endif
