/* SPDX-License-Identifier: MIT */
/*
 * Which run (os/run_file.h) a command means: the one that --http-port, --path and --pid say, else
 * the only one, else of several the one of the current folder. The options of such commands stand
 * at the beginning of each one's struct.
 */
#ifndef CLI_RUNNING_H
#define CLI_RUNNING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/api_client.h"
#include "os/run_file.h"
#include "tunnel/state.h"

struct running_values {
	const char *path;
	uint64_t http_port, pid; /* 0: not given */
	bool json;
};

#define RUNNING_HELP                                                                     \
	{                                                                                \
		.name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" \
	}
#define RUNNING_HTTP_PORT                                                                        \
	{                                                                                        \
		.name = "http-port", .letter = 'P', .type = OPTION_NUMBER, .value_name = "PORT", \
		.min = 1, .max = UINT16_MAX,                                                     \
		.help = "The application whose page has this port, of several of a path",        \
		.offset = offsetof(struct running_values, http_port)                             \
	}
#define RUNNING_JSON(help_)                                         \
	{                                                           \
		.name = "json", .type = OPTION_FLAG, .help = help_, \
		.offset = offsetof(struct running_values, json)     \
	}
#define RUNNING_PATH                                                                        \
	{                                                                                   \
		.name = "path", .letter = 'p', .type = OPTION_FILE, .value_name = "PATH",   \
		.help = "The application that is meant, as 'wasmrun os' was told; default " \
			"is the one of the current folder, or the only one",                \
		.offset = offsetof(struct running_values, path)                             \
	}

#define RUNNING_PID                                                                        \
	{                                                                                  \
		.name = "pid", .type = OPTION_NUMBER, .value_name = "PID", .min = 1,       \
		.max = INT_MAX, .help = "The application whose 'wasmrun os' has this pid", \
		.offset = offsetof(struct running_values, pid)                             \
	}

struct running {
	struct run_list list;
	size_t index; /* of the one that is meant */
	struct api_client client;
};

/* All of them. An enum exit_code; not OK: why has been said. */
int running_list(struct run_list *ret_list);

/* An enum exit_code; not OK: why has been said. running_close() follows in any case. */
int running_find(struct running *running, const struct running_values *values);

/* The same, with a client for its API. */
int running_open(struct running *running, const struct running_values *values);
void running_close(struct running *running);

/* Whether `status`, a text of the API's or none, is the word of that state. */
bool running_tunnel_is(const json_t *status, enum tunnel_state state);

/* One object on one line of standard output. */
void running_write_json(json_t *value);

/* A text of the API for a person; what is none is left out. Returns how many columns it took. */
size_t running_write_text(const json_t *value);

#endif
