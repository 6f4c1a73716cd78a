/* SPDX-License-Identifier: MIT */
/* See guest/guest_config.h for what it reads. */
#include "os/guest_command.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/run_config.h"
#include "sandbox/spawn.h"

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

static void add(struct guest_command *command, size_t *n, const char *word)
{
	assert(*n < GUEST_COMMAND_WORDS - 1);
	command->argv[(*n)++] = word;
	command->argv[*n] = NULL;
}

static void add_list(struct guest_command *command, size_t *n, const char *option,
	const struct option_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (option)
			add(command, n, option);
		add(command, n, list->items[i]);
	}
}

void guest_command_init(struct guest_command *command, const char *program, const char *cache_dir,
	const struct os_app_config *app, const char *module)
{
	const char *const first[] = { program, "--listen-fd", TEXT_OF(SPAWN_LISTEN_FD),
		"--status-fd", TEXT_OF(SPAWN_STATUS_FD), "--cache", cache_dir };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		add(command, &n, first[i]);
	add_list(command, &n, "--dir", &app->dirs);
	add_list(command, &n, "--env", &app->env);
	add(command, &n, module);
	add_list(command, &n, NULL, &app->args);
}

int guest_program_find(char **ret_path)
{
	static const char *const places[] = { "", WASMRUN_GUEST_DIR "/" };
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
	char *path;

	if (n < 0)
		return -errno;
	own[n] = '\0';
	*strrchr(own, '/') = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (asprintf(&path, "%s/%swasmrun-guest", own, places[i]) < 0)
			return -ENOMEM;
		if (access(path, X_OK) == 0) {
			*ret_path = path;
			return 0;
		}
		free(path);
	}
	return -ENOENT;
}
