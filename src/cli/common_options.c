/* SPDX-License-Identifier: MIT */
/* What several commands do with their options before they begin. */
#include "cli/common_options.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "net/pump_pool.h"

#define CREDENTIAL "bore-secret"

const char *const common_data_paths[] = {
	[PUMP_AUTO] = "auto",
	[PUMP_COPY] = "copy",
	[PUMP_SPLICE] = "splice",
	NULL,
};

static int common_options_read_secret(const char *path, struct secret *secret)
{
	const char *why;
	char shown[256];
	int r = secret_read_file(secret, path, &why);

	log_escape(shown, sizeof shown, path, strlen(path));
	if (r < 0) {
		log_error("secret",
			"can't take the secret from '%s': %s; name a readable file that "
			"holds the secret alone",
			shown, why);
		return EXIT_CODE_FILE;
	}
	if (secret_file_is_exposed(path))
		log_warn("secret", "every user can read '%s': do 'chmod o-r' on it", shown);
	return EXIT_CODE_OK;
}

static int common_options_read_credential(const char *name, struct secret *secret)
{
	int r = secret_from_credential(secret, name);

	if (r == 0 || r == -ENOENT)
		return EXIT_CODE_OK;
	log_error("secret", "can't read the credential '%s': %s; see LoadCredential= in the unit",
		name, strerror(-r));
	return EXIT_CODE_FILE;
}

int common_options_load_secret(struct option_set *set, const char *option, const char *file,
	const char *credential, struct secret *secret)
{
	if (file && option_set_source(set, option) == OPTION_FROM_ARG) {
		option_set_fail(
			set, "'--%s' and '--%s-file' cannot be used together", option, option);
		return usage_error(set);
	}
	if (file)
		return common_options_read_secret(file, secret);
	if (secret->set || !credential)
		return EXIT_CODE_OK;
	return common_options_read_credential(credential, secret);
}

int common_options_log_level(struct option_set *set, bool quiet, bool verbose)
{
	if (quiet && verbose) {
		option_set_fail(set, "'--quiet' and '--verbose' cannot be used together");
		return usage_error(set);
	}
	if (quiet)
		log_set_level(LOG_LEVEL_ERROR);
	else if (verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	return EXIT_CODE_OK;
}

int common_options_apply(struct option_set *set, struct common_values *values)
{
	int code = common_options_log_level(set, values->quiet, values->verbose);

	if (code != EXIT_CODE_OK)
		return code;
	return common_options_load_secret(
		set, "secret", values->secret_file, CREDENTIAL, &values->secret);
}

static const enum exit_code failure_codes[] = {
	[TUNNEL_OK] = EXIT_CODE_FAILED,
	[TUNNEL_UNRESOLVED] = EXIT_CODE_UNRESOLVED,
	[TUNNEL_UNREACHABLE] = EXIT_CODE_UNREACHABLE,
	[TUNNEL_FRONT] = EXIT_CODE_NOT_BORE,
	[TUNNEL_NOT_BORE] = EXIT_CODE_NOT_BORE,
	[TUNNEL_SECRET] = EXIT_CODE_SECRET,
	[TUNNEL_PORT] = EXIT_CODE_PORT,
	[TUNNEL_REFUSED] = EXIT_CODE_REFUSED,
	[TUNNEL_LOST] = EXIT_CODE_LOST,
};

enum exit_code common_exit_code(enum tunnel_failure failure)
{
	return failure_codes[failure];
}

void common_options_pool(const struct common_values *values, struct pump_pool_config *ret_config)
{
	*ret_config = (struct pump_pool_config){
		.workers = (unsigned)values->workers,
		.inline_turns = PUMP_INLINE_TURNS,
		.mode = (enum pump_mode)values->data_path,
		.half_close_timeout_ms = values->half_close_timeout_ms,
		.idle_timeout_ms = values->idle_timeout_ms,
		.vanished_timeout_ms = PUMP_VANISHED_MS,
	};
}
