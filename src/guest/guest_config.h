/* SPDX-License-Identifier: MIT */
/*
 * The command line of wasmrun-guest, which wasmrun writes and people rarely see:
 *
 *   wasmrun-guest [--dir HOST::GUEST]... [--env NAME=VALUE]... [--listen-fd N --empty DIR]
 *                 [--broker-fd N | --walled] [--memory-max BYTES] [--status-fd N] [--cache DIR]
 *                 [--timeout DURATION] [--quick] [--verbose] MODULE [ARGUMENT...]
 *   wasmrun-guest --compile --cache DIR [--status-fd N] [--quick] [--verbose] MODULE
 *   wasmrun-guest --cgi (the same) --listen-fd N MODULE [ARGUMENT...]
 *   wasmrun-guest --files --listen-fd N [--status-fd N] [--fallback FILE] [--header FIELD]...
 *                 [--verbose] FOLDER
 */
#ifndef GUEST_GUEST_CONFIG_H
#define GUEST_GUEST_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/guest_exit.h"

/* Linear memory that a guest may have unless told otherwise. */
#define GUEST_MEMORY_MAX_DEFAULT (1024ull << 20)

struct field;

struct guest_dir {
	char *host, *guest; /* both owned */
};

enum guest_mode {
	GUEST_PROGRAM, /* the module runs once */
	GUEST_CGI,     /* once for each request */
	GUEST_FILES,   /* not a module, but a folder of files */
	GUEST_COMPILE, /* it is left in the cache's folder, and not run */
};

struct guest_config {
	enum guest_mode mode;
	const char *module; /* borrowed from argv, as all strings but those of dirs */
	char **args;        /* the guest's arguments without its name, up to a NULL */
	struct guest_dir *dirs;
	size_t n_dirs;
	const char **env; /* NAME=VALUE; a later one wins */
	size_t n_env;
	bool listens;  /* a listening socket was given */
	int listen_fd; /* that one; -1 for none, or once somebody has taken it over */
	int broker_fd; /* owned; where the sockets of the program are asked for; -1: of the kernel,
			  or, if walled, of nobody */
	bool walled;
	int status_fd; /* owned; gets an empty line for each step of streams.h, and why it has
			  ended; -1 for none */
	const char *fallback; /* of GUEST_FILES: serve/files.h; NULL for none */
	struct field *fields; /* of GUEST_FILES: of each answer; owned, their texts borrowed */
	size_t n_fields;
	const char *empty; /* of GUEST_PROGRAM that listens: wasi_setup.c */
	uint64_t memory_max;
	const char *cache;   /* folder of this module, compiled; NULL for none */
	uint64_t timeout_ms; /* 0 is none */
	bool has_timeout;    /* it was given */
	bool quick;          /* to compile rather than to run */
	bool verbose;
	struct guest_end end; /* the process's */
};

/* Returns 0, or an enum guest_exit, and c->end says why. */
int guest_config_parse(struct guest_config *c, int argc, char **argv);
void guest_config_deinit(struct guest_config *c);

#endif
