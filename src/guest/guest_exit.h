/* SPDX-License-Identifier: MIT */
/*
 * What wasmrun-guest's exit says. A program's own codes end below 126, so they never meet these;
 * 134 is what a shell shows for an abort, and what the wasmtime command makes of a trap.
 */
#ifndef GUEST_GUEST_EXIT_H
#define GUEST_GUEST_EXIT_H

#include "base/err.h"

enum guest_exit {
	GUEST_EXIT_TRAP = 134,
	GUEST_EXIT_USAGE = 192, /* wasmrun-guest's own command line is wrong */
	GUEST_EXIT_READ,        /* 193: the module's file can't be read */
	GUEST_EXIT_NOT_WASM,    /* 194: not a WASM file */
	GUEST_EXIT_TRUNCATED,   /* 195: the file is cut off */
	GUEST_EXIT_INVALID,     /* 196: WASM, but nothing that the engine takes */
	GUEST_EXIT_COMPONENT,   /* 197: a component; those run in the wasmtime command */
	GUEST_EXIT_FOREIGN,     /* 198: made for another host: WASIX, old Spin, a browser, … */
	GUEST_EXIT_NO_PROGRAM,  /* 199: no _start, or no memory */
	GUEST_EXIT_IMPORT,      /* 200: imports something that is not there */
	GUEST_EXIT_MEMORY,      /* 201: wants more memory at start than it may have */
	GUEST_EXIT_DEADLINE,    /* 202: its time was over */
	GUEST_EXIT_SETUP,       /* 203: a directory, the listener or the engine failed */
};

/* Prints one line about why the guest does not run, and returns code. */
int guest_fail(enum guest_exit code, const char *fmt, ...) _printf_(2, 3);

struct wasmtime_error;

/* The same about a failed set-up, with what the engine says. Drops the error. */
int guest_fail_engine(struct wasmtime_error *error, const char *what);

#endif
