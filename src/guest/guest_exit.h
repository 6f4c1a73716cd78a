/* SPDX-License-Identifier: MIT */
/*
 * How a run ends: by the program itself, with any code, or for a reason of ours. The two are told
 * apart here, and by what is said, never by the number: a program may end with each of those below.
 *
 * Where a supervisor waits at the other end of the status pipe (os/child.h), it reads the reason
 * there; for all others it stands on standard error.
 */
#ifndef GUEST_GUEST_EXIT_H
#define GUEST_GUEST_EXIT_H

#include <stddef.h>
#include <stdint.h>

#include "app/module.h"
#include "base/lang.h"

/* The exit codes of the reasons, which shells and scripts see; docs/man/wasmrun-run.1 has them. */
enum guest_exit {
	GUEST_EXIT_OWN = 0, /* no reason of ours: the program has ended itself */
	/* What a shell shows for an abort, and the wasmtime command exits with. */
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

struct guest_end {
	enum guest_exit reason;
	uint32_t code;         /* of GUEST_EXIT_OWN: the program's */
	char why[APP_END_MAX]; /* one line for people; may be empty for GUEST_EXIT_OWN */
};

/* Takes note of why the guest does not run. A line's end becomes a space. Returns reason. */
int guest_fail(struct guest_end *end, enum guest_exit reason, const char *fmt, ...) _printf_(3, 4);

struct wasmtime_error;

/* The same about a failed set-up, with what the engine says. Drops the error. */
int guest_fail_engine(struct guest_end *end, struct wasmtime_error *error, const char *what);

/* Prints lines on standard error, none of which steers a terminal. A trap's backtrace has several,
 * with names that a module gave to its functions. */
void guest_say(const char *text, size_t len);

/*
 * Says why, if there is something to be said: to the status pipe, or without one (-1) on standard
 * error. Returns the process's exit status; of the program's own code it has the lower eight bits,
 * as that of any program (exit(3)).
 */
int guest_end_tell(const struct guest_end *end, int status_fd);

#endif
