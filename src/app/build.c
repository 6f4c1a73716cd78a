/* SPDX-License-Identifier: MIT */
/* Toolchains, artefacts and the cache. */
#include "app/build.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/artefact.h"
#include "app/plan.h"
#include "app/rule.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"

#define SHOWN_MAX 256 /* of a path in a message */
#define VERSION_MAX 64
#define DIGITS "0123456789"

/* A folder that may be entered is no program, such as a clone of one's sources. */
static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool program_is_in(const char *dir, size_t len, const char *program, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%.*s/%s", (int)len, dir, program);

	return n > 0 && n < PATH_MAX && is_program(path);
}

bool app_program_find(const char *program, char *ret_path)
{
	const char *dir = getenv("PATH");

	while (dir) {
		size_t len = strcspn(dir, ":");

		if (len > 0 && program_is_in(dir, len, program, ret_path))
			return true;
		dir = dir[len] ? dir + len + 1 : NULL;
	}
	return false;
}

/* The first line of a file beside the program, whatever links lead to that. */
static bool version_read(const char *program, const char *file, char ret_line[VERSION_MAX])
{
	_cleanup_(fd_closep) int fd = -1;
	char real[PATH_MAX], path[PATH_MAX];
	FILE *in;
	bool whole;
	int n;

	if (!realpath(program, real))
		return false;
	*strrchr(real, '/') = '\0';
	n = snprintf(path, sizeof path, "%s/%s", real, file);
	if (n < 0 || (size_t)n >= sizeof path)
		return false;
	if (file_open(path, O_RDONLY, 0, FILE_ALONE, &fd) < 0)
		return false;
	in = fdopen(fd, "r");
	if (!in)
		return false;
	(void)take_fd(&fd);
	whole = fgets(ret_line, VERSION_MAX, in) != NULL;
	(void)fclose(in);
	if (!whole)
		return false;
	ret_line[strcspn(ret_line, "\r\n")] = '\0';
	return true;
}

/* `version` is "1.19.8", "1.21" or "1.22rc1"; another form is nothing that can be judged. */
static bool version_is_old(const struct app_tool *tool, const char *version)
{
	size_t major_len = strspn(version, DIGITS), minor_len;
	uint16_t major, minor;

	if (version[major_len] != '.')
		return false;
	minor_len = strspn(version + major_len + 1, DIGITS);
	if (parse_u16(version, major_len, &major) < 0 ||
		parse_u16(version + major_len + 1, minor_len, &minor) < 0)
		return false;
	return major < tool->major || (major == tool->major && minor < tool->minor);
}

static bool tool_find(const struct app_tool *tool, const char *project, char ret_path[PATH_MAX])
{
	int n;

	if (tool->folder) {
		n = snprintf(ret_path, PATH_MAX, "%s/%s/%s", project, tool->folder, tool->program);
		if (n > 0 && n < PATH_MAX && is_program(ret_path))
			return true;
	}
	return app_program_find(tool->program, ret_path);
}

static int tool_check(const struct app_tool *tool, const char *project, char *ret_why)
{
	char path[PATH_MAX], line[VERSION_MAX], shown[VERSION_MAX];
	size_t prefix_len;

	if (!tool_find(tool, project, path)) {
		snprintf(ret_why, APP_WHY_MAX,
			"'%s' is needed to build it and is not there: install it with '%s'",
			tool->program, tool->install);
		return -ENOENT;
	}
	if (!tool->version_file || !version_read(path, tool->version_file, line))
		return 0;
	prefix_len = strlen(tool->prefix);
	if (strncmp(line, tool->prefix, prefix_len) != 0 ||
		!version_is_old(tool, line + prefix_len))
		return 0;
	log_escape(shown, sizeof shown, line + prefix_len, strlen(line + prefix_len));
	snprintf(ret_why, APP_WHY_MAX, "needs %s >= %u.%u, found %s: install it with '%s'",
		tool->name, tool->major, tool->minor, shown, tool->install);
	return -ENOENT;
}

int app_build_check(const struct app_plan *plan, char ret_why[APP_WHY_MAX])
{
	int r = 0;

	for (const struct app_tool *tool = plan->tools; r == 0 && tool && tool->program; tool++)
		r = tool_check(tool, plan->folder, ret_why);
	return r;
}

int app_build_finish(struct app_plan *plan, const atomic_bool *canceled, char **ret_made,
	char ret_why[APP_WHY_MAX])
{
	_cleanup_(freep) char *made = NULL;
	enum app_interface interface;
	int r = plan->artefacts ? artefact_take(plan, canceled, &made, ret_why) : 0;

	if (r == 0)
		r = module_check(app_plan_file(plan), &interface, ret_why);
	if (r == 0)
		*ret_made = take_ptr(made);
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

int app_cache_path(const char *name, char **ret_path, char ret_why[APP_WHY_MAX])
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	/* XDG Base Directory Specification: what isn't absolute is to be ignored. */
	if (base && *base == '/')
		n = asprintf(ret_path, "%s/wasmrun/%s", base, name);
	else if (home && *home == '/')
		n = asprintf(ret_path, "%s/.cache/wasmrun/%s", home, name);
	else {
		snprintf(ret_why, APP_WHY_MAX,
			"there is no place for built modules: set HOME or XDG_CACHE_HOME");
		return -ENOENT;
	}
	return n < 0 ? -ENOMEM : 0;
}

int app_cache_dir(const char *name, char **ret_path, char ret_why[APP_WHY_MAX])
{
	char shown[SHOWN_MAX], *path;
	int r = app_cache_path(name, &path, ret_why);

	if (r < 0)
		return r;
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
