/* SPDX-License-Identifier: MIT */
/* Only files are looked at: a program that is asked for its version may want the network. */
#include "app/toolchain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/plan.h"
#include "app/program_path.h"
#include "app/rule.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/parse.h"

#define VERSION_MAX 64
#define DIGITS "0123456789"

/* The first line of a file beside the program, whatever links lead to that. */
static bool tool_read_version(const char *program, const char *file, char ret_line[VERSION_MAX])
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
static bool tool_is_old(const struct app_tool *tool, const char *version)
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
		if (n > 0 && n < PATH_MAX && program_path_is_program(ret_path))
			return true;
	}
	return program_path_find(tool->program, ret_path);
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
	if (!tool->version_file || !tool_read_version(path, tool->version_file, line))
		return 0;
	prefix_len = strlen(tool->prefix);
	if (strncmp(line, tool->prefix, prefix_len) != 0 || !tool_is_old(tool, line + prefix_len))
		return 0;
	log_escape(shown, sizeof shown, line + prefix_len, strlen(line + prefix_len));
	snprintf(ret_why, APP_WHY_MAX, "needs %s >= %u.%u, found %s: install it with '%s'",
		tool->name, tool->major, tool->minor, shown, tool->install);
	return -ENOENT;
}

int toolchain_check(const struct app_plan *plan, char ret_why[APP_WHY_MAX])
{
	int r = 0;

	for (const struct app_tool *tool = plan->tools; r == 0 && tool && tool->program; tool++)
		r = tool_check(tool, plan->folder, ret_why);
	return r;
}
