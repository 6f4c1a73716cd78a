/* SPDX-License-Identifier: MIT */
/*
 * The options that `bore local` and `bore server` share. Their values stand at the beginning of
 * each command's own struct, so that the entries below fit into both tables.
 */
#ifndef CLI_COMMON_OPTIONS_H
#define CLI_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"

struct addr;
struct option_set;
struct pump_pool_config;

struct common_values {
	const char *metrics, *secret_file;
	uint64_t data_path; /* enum pump_mode */
	uint64_t grace_ms, half_close_timeout_ms, idle_timeout_ms;
	uint64_t workers; /* 0: one for each core */
	struct secret secret;
	bool json, quiet, verbose;
};

#define COMMON_DURATION_MAX (UINT64_C(30) * 24 * 3600 * 1000) /* a month: more is a mistake */
#define COMMON_WORKERS_MAX 256

extern const char *const common_data_paths[];

#define COMMON_DATA_PATH                                                            \
	{                                                                           \
		.name = "data-path", .type = OPTION_CHOICE, .value_name = "MODE",   \
		.choices = common_data_paths, .fallback = "auto",                   \
		.help = "How bytes are moved: through buffers, through pipes with " \
			"splice(2), or first the one and then the other",           \
		.offset = offsetof(struct common_values, data_path)                 \
	}
#define COMMON_GRACE(default_)                                                      \
	{                                                                           \
		.name = "grace", .type = OPTION_DURATION, .value_name = "DURATION", \
		.fallback = default_, .max = COMMON_DURATION_MAX,                   \
		.help = "How long open connections may go on after SIGTERM",        \
		.offset = offsetof(struct common_values, grace_ms)                  \
	}
#define COMMON_HALF_CLOSE_TIMEOUT                                                                \
	{                                                                                        \
		.name = "half-close-timeout", .type = OPTION_DURATION, .value_name = "DURATION", \
		.fallback = "60s", .max = COMMON_DURATION_MAX,                                   \
		.help = "End a connection that one side has closed after so long "               \
			"without traffic",                                                       \
		.offset = offsetof(struct common_values, half_close_timeout_ms)                  \
	}
#define COMMON_HELP                                                                      \
	{                                                                                \
		.name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" \
	}
#define COMMON_IDLE_TIMEOUT                                                                \
	{                                                                                  \
		.name = "idle-timeout", .type = OPTION_DURATION, .value_name = "DURATION", \
		.fallback = "none", .max = COMMON_DURATION_MAX,                            \
		.help = "End a connection after so long without traffic",                  \
		.offset = offsetof(struct common_values, idle_timeout_ms)                  \
	}
#define COMMON_JSON                                                                \
	{                                                                          \
		.name = "json", .type = OPTION_FLAG,                               \
		.help = "Print events to standard output, a JSON object per line", \
		.offset = offsetof(struct common_values, json)                     \
	}
#define COMMON_METRICS                                                              \
	{                                                                           \
		.name = "metrics", .type = OPTION_TEXT, .value_name = "ADDR:PORT",  \
		.help = "Serve metrics for Prometheus at http://ADDR:PORT/metrics", \
		.offset = offsetof(struct common_values, metrics)                   \
	}
#define COMMON_QUIET                                                                            \
	{                                                                                       \
		.name = "quiet", .letter = 'q', .type = OPTION_FLAG, .help = "Log errors only", \
		.offset = offsetof(struct common_values, quiet)                                 \
	}
#define COMMON_SECRET                                                                           \
	{                                                                                       \
		.name = "secret", .letter = 's', .type = OPTION_SECRET, .value_name = "SECRET", \
		.env = "BORE_SECRET", .help = "Optional secret for authentication",             \
		.offset = offsetof(struct common_values, secret)                                \
	}
#define COMMON_SECRET_FILE                                                                  \
	{                                                                                   \
		.name = "secret-file", .type = OPTION_FILE, .value_name = "FILE",           \
		.help = "Read the secret from a file (without its last newline); "          \
			"default is the systemd credential 'bore-secret', if there is one", \
		.offset = offsetof(struct common_values, secret_file)                       \
	}
#define COMMON_VERBOSE                                                 \
	{                                                              \
		.name = "verbose", .letter = 'v', .type = OPTION_FLAG, \
		.help = "Log every connection and change of state",    \
		.offset = offsetof(struct common_values, verbose)      \
	}
#define COMMON_WORKERS                                                                     \
	{                                                                                  \
		.name = "workers", .type = OPTION_NUMBER, .value_name = "COUNT", .min = 1, \
		.max = COMMON_WORKERS_MAX,                                                 \
		.help = "Threads that move bytes; default is one for each core",           \
		.offset = offsetof(struct common_values, workers)                          \
	}

/*
 * What follows from the options at once: the log's level and the secret, from the first of --secret
 * or
 * --secret-file, BORE_SECRET, the systemd credential. An enum exit_code; not OK: why has been said.
 */
int common_options_apply(struct option_set *set, struct common_values *values);

void common_options_pool(const struct common_values *values, struct pump_pool_config *ret_config);

/* The option `name` holds "IP:PORT". An enum exit_code. */
int common_options_endpoint(
	struct option_set *set, const char *name, const char *text, struct addr *ret_addr);

#endif
