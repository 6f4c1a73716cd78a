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
#include "cli/exit_code.h"
#include "net/host.h"
#include "tunnel/tunnel.h"

struct option_set;
struct pump_pool_config;

struct common_values {
	const char *metrics, *secret_file;
	uint64_t data_path; /* enum pump_mode */
	uint64_t grace_ms, half_close_timeout_ms, idle_timeout_ms;
	uint64_t workers; /* threads; 0: one for each core */
	struct secret secret;
	bool json, quiet, verbose;
};

#define COMMON_DURATION_MAX (UINT64_C(30) * 24 * 3600 * 1000) /* a month: more is a mistake */
#define COMMON_WORKERS_MAX 256

extern const char *const common_data_paths[];

/* An entry: its name, type, member of struct common_values, and whatever else. */
#define COMMON(name_, type_, member_, ...)                                                       \
	{                                                                                        \
		.name = name_, .type = type_, .offset = offsetof(struct common_values, member_), \
		__VA_ARGS__                                                                      \
	}
#define COMMON_DURATION(name_, member_, default_, help_)                                        \
	COMMON(name_, OPTION_DURATION, member_, .value_name = "DURATION", .fallback = default_, \
		.max = COMMON_DURATION_MAX, .help = help_)

#define COMMON_DATA_PATH                                                                          \
	COMMON("data-path", OPTION_CHOICE, data_path, .value_name = "MODE",                       \
		.choices = common_data_paths, .fallback = "auto",                                 \
		.help = "How bytes are moved: through buffers, through pipes with splice(2), or " \
			"first the one and then the other")
#define COMMON_GRACE(default_) \
	COMMON_DURATION(       \
		"grace", grace_ms, default_, "How long open connections may go on after SIGTERM")
#define COMMON_HALF_CLOSE_TIMEOUT                                           \
	COMMON_DURATION("half-close-timeout", half_close_timeout_ms, "10m", \
		"Reset a connection that one side has closed after so long without traffic")
#define COMMON_HELP                                                                      \
	{                                                                                \
		.name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" \
	}
#define COMMON_IDLE_TIMEOUT                                      \
	COMMON_DURATION("idle-timeout", idle_timeout_ms, "none", \
		"Reset a connection after so long without traffic")
#define COMMON_JSON                       \
	COMMON("json", OPTION_FLAG, json, \
		.help = "Print events to standard output, a JSON object per line")
#define COMMON_METRICS                                                                          \
	COMMON("metrics", OPTION_TEXT, metrics, .value_name = "ADDR:PORT", .check = host_check, \
		.form = HOST_ADDRESS_PORT,                                                      \
		.help = "Serve metrics for Prometheus at http://ADDR:PORT/metrics")
#define COMMON_QUIET COMMON("quiet", OPTION_FLAG, quiet, .letter = 'q', .help = "Log errors only")
#define COMMON_SECRET                                                                  \
	COMMON("secret", OPTION_SECRET, secret, .letter = 's', .value_name = "SECRET", \
		.env = "BORE_SECRET", .help = "Optional secret for authentication")
#define COMMON_SECRET_FILE                                                                        \
	COMMON("secret-file", OPTION_FILE, secret_file, .value_name = "FILE",                     \
		.help = "Read the secret from a file (without its last newline); default is the " \
			"systemd credential 'bore-secret', if there is one")
#define COMMON_VERBOSE                                         \
	COMMON("verbose", OPTION_FLAG, verbose, .letter = 'v', \
		.help = "Log every connection and change of state")
#define COMMON_WORKERS                                                                 \
	COMMON("workers", OPTION_NUMBER, workers, .value_name = "COUNT", .min = 1,     \
		.max = COMMON_WORKERS_MAX,                                             \
		.help = "Threads for long and bulky connections, beside the one that " \
			"serves short ones; default is one for each core")

/*
 * What follows from the options at once: the log's level and the secret, from the first of --secret
 * or --secret-file, BORE_SECRET, the systemd credential. An enum exit_code; not OK: why has been
 * said.
 */
int common_options_apply(struct option_set *set, struct common_values *values);

/* The parts of it, for a command with other option names. An enum exit_code; not OK: why has been
 * said. */
int common_options_log_level(struct option_set *set, bool quiet, bool verbose);

/* `option` has filled *secret, unless `file`, from the option of that name with "-file" behind it,
 * is not NULL. `credential` NULL: none is looked for. One that isn't there is no secret. */
int common_options_load_secret(struct option_set *set, const char *option, const char *file,
	const char *credential, struct secret *secret);

/* What it means that a tunnel has failed. */
enum exit_code common_exit_code(enum tunnel_failure failure);

void common_options_pool(const struct common_values *values, struct pump_pool_config *ret_config);

#endif
