/* SPDX-License-Identifier: MIT */
/* Toolchains, artefacts and the cache. */
#include "app/build.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/detect.h"
#include "base/err.h"
#include "base/log.h"

#define SHOWN_MAX 256 /* of a path in a message */

static bool program_is_in(const char *dir, size_t len, const char *program)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%.*s/%s", (int)len, dir, program);

	return n > 0 && (size_t)n < sizeof path && access(path, X_OK) == 0;
}

static bool program_is_there(const char *program)
{
	const char *dir = getenv("PATH");

	while (dir) {
		size_t len = strcspn(dir, ":");

		if (len > 0 && program_is_in(dir, len, program))
			return true;
		dir = dir[len] ? dir + len + 1 : NULL;
	}
	return false;
}

int app_build_check(const struct app_plan *plan, char ret_why[APP_WHY_MAX])
{
	for (const struct app_tool *tool = plan->tools; tool && tool->program; tool++)
		if (!program_is_there(tool->program)) {
			snprintf(ret_why, APP_WHY_MAX,
				"'%s' is needed to build it and is not there: install it with '%s'",
				tool->program, tool->install);
			return -ENOENT;
		}
	return 0;
}

int app_build_finish(const struct app_plan *plan, char ret_why[APP_WHY_MAX])
{
	char shown[SHOWN_MAX];
	int r = module_check(plan->output ? plan->output : plan->module, ret_why);

	if (r < 0 || !plan->output)
		return r;
	if (rename(plan->output, plan->module) < 0) {
		r = -errno;
		snprintf(ret_why, APP_WHY_MAX, "can't write '%s': %s",
			log_escape(shown, sizeof shown, plan->module, strlen(plan->module)),
			strerror(-r));
	}
	return r;
}

/* mkdir -p: what is there is left as it is. */
static int make_dirs(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int app_cache_dir(const char *name, char **ret_path, char ret_why[APP_WHY_MAX])
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char shown[SHOWN_MAX], *path;
	int n, r;

	/* XDG Base Directory Specification: what isn't absolute is to be ignored. */
	if (base && *base == '/')
		n = asprintf(&path, "%s/wasmrun/%s", base, name);
	else if (home && *home == '/')
		n = asprintf(&path, "%s/.cache/wasmrun/%s", home, name);
	else {
		snprintf(ret_why, APP_WHY_MAX,
			"there is no place for built modules: set HOME or XDG_CACHE_HOME");
		return -ENOENT;
	}
	if (n < 0)
		return -ENOMEM;
	r = make_dirs(path);
	if (r < 0) {
		snprintf(ret_why, APP_WHY_MAX, "can't make the folder '%s': %s",
			log_escape(shown, sizeof shown, path, strlen(path)), strerror(-r));
		free(path);
		return r;
	}
	*ret_path = path;
	return 0;
}
