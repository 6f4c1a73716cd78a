/* SPDX-License-Identifier: MIT */
/*
 * The listener is ours, but the engine must never give its number to a file. So the engine gets a
 * stand-in for it: an empty directory in which nothing can be made.
 */
#include "guest/wasi_setup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasmtime.h>

#include "app/language.h"
#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/wasm_instance.h"

uint32_t wasi_listener_fd(const struct guest_config *config)
{
	return LANGUAGE_FIRST_FD + (uint32_t)config->n_dirs;
}

static int wasi_setup_args(
	struct wasi_config_t *wasi, const struct guest_config *config, struct guest_end *end)
{
	const char *slash = strrchr(config->module, '/'), **argv;
	size_t n = 0;
	bool ok;

	while (config->args[n])
		n++;
	argv = calloc(n + 1, sizeof(*argv));
	if (!argv)
		return guest_fail(end, GUEST_EXIT_SETUP, "out of memory");
	argv[0] = slash ? slash + 1 : config->module;
	for (size_t i = 0; i < n; i++)
		argv[i + 1] = config->args[i];
	ok = wasi_config_set_argv(wasi, n + 1, argv);
	free(argv);
	return ok ? 0 : guest_fail(end, GUEST_EXIT_SETUP, "an argument is not in UTF-8");
}

/* Whether a later variable of the list has the same name. */
static bool wasi_setup_is_overridden(char *const *env, size_t len, size_t i)
{
	size_t name_len = (size_t)(strchr(env[i], '=') - env[i]) + 1;

	for (size_t j = i + 1; j < len; j++)
		if (strncmp(env[i], env[j], name_len) == 0)
			return true;
	return false;
}

/* Splits at the "=" in place, and hands over. */
static bool wasi_setup_give_env(struct wasi_config_t *wasi, char **env, size_t len)
{
	const char **names = calloc(2 * len + 1, sizeof(*names)), **values;
	size_t n = 0;
	bool ok;

	if (!names)
		return false;
	values = names + len;
	for (size_t i = 0; i < len; i++) {
		if (wasi_setup_is_overridden(env, len, i))
			continue;
		names[n] = env[i];
		values[n++] = strchr(env[i], '=') + 1;
	}
	for (size_t i = 0; i < len; i++)
		env[i][strcspn(env[i], "=")] = '\0';
	ok = wasi_config_set_env(wasi, n, names, values);
	free(names);
	return ok;
}

/*
 * The listener is told the three ways that are in use: systemd's number of sockets, Enarx's number
 * of all descriptors, and ours, which is simply its number.
 */
static int wasi_setup_env(struct wasi_config_t *wasi, const struct guest_config *config,
	const struct wasm_instance_io *io, struct guest_end *end)
{
	uint32_t fd = wasi_listener_fd(config);
	size_t n = 0, n_more = io ? io->n_env : 0;
	char **env = calloc(config->n_env + n_more + 3, sizeof(*env));
	bool ok = env != NULL;

	for (; ok && n < config->n_env; n++)
		ok = (env[n] = strdup(config->env[n])) != NULL;
	for (size_t i = 0; ok && i < n_more; i++)
		ok = (env[n++] = strdup(io->env[i])) != NULL;
	if (ok && config->listens && !io) {
		ok = asprintf(&env[n++], "LISTEN_FDS=1") > 0 &&
		     asprintf(&env[n++], "FD_COUNT=%" PRIu32, fd + 1) > 0 &&
		     asprintf(&env[n++], "WASMHUB_LISTEN_FD=%" PRIu32, fd) > 0;
	}
	ok = ok && wasi_setup_give_env(wasi, env, n);
	for (size_t i = 0; env && i < n; i++)
		free(env[i]);
	free(env);
	return ok ? 0
		  : guest_fail(end, GUEST_EXIT_SETUP, "an environment variable is not in UTF-8");
}

static int wasi_setup_dirs(struct wasi_config_t *wasi, const struct guest_config *config,
	const struct wasm_instance_io *io, struct guest_end *end)
{
	for (size_t i = 0; i < config->n_dirs; i++) {
		const struct guest_dir *dir = &config->dirs[i];

		errno = 0;
		if (!wasi_config_preopen_dir(wasi, dir->host, dir->guest, true))
			return guest_fail(end, GUEST_EXIT_SETUP,
				"can't open the directory '%s'%s%s", dir->host, errno ? ": " : "",
				errno ? strerror(errno) : "");
	}
	if (!config->listens || io)
		return 0;
	errno = 0;
	return wasi_config_preopen_dir(wasi, config->empty, "", false)
		       ? 0
		       : guest_fail(end, GUEST_EXIT_SETUP,
				 "the listener has no number: can't open the directory '%s': %s",
				 config->empty, strerror(errno));
}

int wasi_setup(const struct guest_config *config, const struct wasm_instance_io *io,
	struct guest_end *end, struct wasi_config_t **ret_wasi)
{
	struct wasi_config_t *wasi = wasi_config_new();
	int r;

	if (!wasi)
		return guest_fail(end, GUEST_EXIT_SETUP, "out of memory");
	/* call_move.c reads and writes the standard streams. The engine has its own only for a
	 * program that renumbers one of them; with io, such a program gets nothing. */
	if (!io) {
		wasi_config_inherit_stdin(wasi);
		wasi_config_inherit_stdout(wasi);
		wasi_config_inherit_stderr(wasi);
	}
	r = wasi_setup_args(wasi, config, end);
	if (r == 0)
		r = wasi_setup_env(wasi, config, io, end);
	if (r == 0)
		r = wasi_setup_dirs(wasi, config, io, end);
	if (r != 0) {
		wasi_config_delete(wasi);
		return r;
	}
	*ret_wasi = wasi;
	return 0;
}
