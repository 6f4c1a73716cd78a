/* SPDX-License-Identifier: MIT */
/*
 * Which running instance a command means: the only one, that of --path, or of several the one of
 * the current folder. The options of such commands stand at the beginning of each one's struct.
 */
#ifndef CLI_RUNNING_H
#define CLI_RUNNING_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/api_client.h"
#include "os/run_file.h"

struct running_values {
	const char *path;
	bool json;
};

#define RUNNING_HELP                                                                     \
	{                                                                                \
		.name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" \
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

/* One object on one line of standard output. */
void running_write_json(json_t *value);

#endif
