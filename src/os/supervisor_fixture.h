/* SPDX-License-Identifier: MIT */
/*
 * For tests: a supervisor whose engine is a shell script, and the states that it goes through. It
 * fails the test when nothing happens for long.
 */
#ifndef OS_SUPERVISOR_FIXTURE_H
#define OS_SUPERVISOR_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "os/log_ring.h"
#include "os/run_config.h"
#include "os/supervisor.h"

#define DEADLINE_MS 60000
#define HISTORY_MAX 1024
#define TEXT_MAX 4096

#define FIXTURE_OPEN_FILES 512 /* of what it starts */

struct fixture {
	char dir[64], guest[96], module[96];
	char cache[96]; /* hidden: the project may be watched */
	uv_loop_t loop;
	uv_timer_t deadline;
	struct os_run_config run;
	struct log_ring *ring;
	struct supervisor *supervisor;
	char history[HISTORY_MAX]; /* since the last fixture_await(), with a blank behind each word
				    */
	unsigned crash_lines;      /* that were told */
	bool closed;
	void (*told)(struct fixture *f); /* of a state, or what is to replace it; may be NULL */
};

/* Executable. In one step: who sees that it is there, or has changed, sees all of it. */
void fixture_write_file(const char *path, const void *text, size_t len);

/* `script` runs in the project's folder, with what the supervisor gives to wasmrun-guest. `ready`
 * in it says that it takes connections, and $status is its status pipe. f is zeroed, or holds
 * settings in `run`. As the compiler, it runs the file `.compile` if that is there, and says that
 * it has kept the code. */
void fixture_open(struct fixture *f, const char *script);
/* 0: as usual. */
void fixture_open_for(struct fixture *f, const char *script, uint64_t start_timeout_ms,
	uint64_t drain_timeout_ms);
void fixture_close(struct fixture *f);
/* The second close gives the application no more time. */
void fixture_close_twice(struct fixture *f);

/* Runs the loop until what has happened since the last one is exactly this: the words of the state
 * and, of what is to replace the application, "next-building", "next-starting", then "replaced" or
 * "kept". */
void fixture_await(struct fixture *f, const char *history);

/* Runs the loop until it is in this state. */
void fixture_await_state(struct fixture *f, enum supervisor_state state);

/* Runs the loop until the line is there. */
void fixture_await_line(struct fixture *f, enum log_stream stream, const char *text);
bool fixture_has_line(struct fixture *f, enum log_stream stream, const char *text);

struct supervisor_status fixture_status(struct fixture *f);

/* Connects, and says that. */
int fixture_visit(struct fixture *f, const char *words);
/* Reads to the end while the loop runs; a reset fails the test. */
void fixture_read_answer(struct fixture *f, int fd, char text[TEXT_MAX]);

#endif
