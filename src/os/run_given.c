/* SPDX-License-Identifier: MIT */
/*
 * A link that leads into such a folder is refused as well, and that is what makes one look enough:
 * when the application has put a link of its own there, it is too late to see.
 */
#include "os/run_given.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/option.h"
#include "os/run_config.h"

/* Both as realpath(3) has them. */
static bool given_is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return len == 1 || (strncmp(path, folder, len) == 0 && path[len] == '/');
}

bool run_given_leads_through(const char *path, const char *folder)
{
	char part[PATH_MAX], real[PATH_MAX];
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	for (size_t i = 1; i <= len; i++) {
		if (i < len && path[i] != '/')
			continue;
		(void)snprintf(part, sizeof part, "%.*s", (int)i, path);
		if (!realpath(part, real))
			return false;
		if (given_is_below(real, folder) || (i < len && strcmp(real, folder) == 0))
			return true;
	}
	return false;
}

/* The host's folder of a --dir, absolute. False: there is none. */
static bool given_folder(const char *project, const char *dir, char ret_path[PATH_MAX])
{
	int len = (int)(strstr(dir, "::") - dir);
	int n = *dir == '/' ? snprintf(ret_path, PATH_MAX, "%.*s", len, dir)
			    : snprintf(ret_path, PATH_MAX, "%s/%.*s", project, len, dir);

	return n < PATH_MAX;
}

/* Those that are for reading are none (os/wall.h). */
static bool given_to_write(const struct os_run_config *c, const char *project, const char *dir,
	char ret_real[PATH_MAX])
{
	char path[PATH_MAX];
	struct stat st;
	bool holds;

	if (!given_folder(project, dir, path) || !realpath(path, ret_real))
		return false;
	/* A file that is named alone has no project around it. */
	holds = stat(c->project_path, &st) == 0 && S_ISDIR(st.st_mode) &&
		(strcmp(ret_real, project) == 0 || given_is_below(project, ret_real));
	return !holds || c->app.writable || c->no_isolation;
}

static bool given_find_project(const struct os_run_config *c, char ret_project[PATH_MAX])
{
	struct stat st;

	if (!realpath(c->project_path, ret_project) || stat(ret_project, &st) < 0)
		return false;
	if (!S_ISDIR(st.st_mode))
		*(strrchr(ret_project, '/') + 1) = '\0';
	return true;
}

static bool given_find_log(const struct os_run_config *c, char ret_path[PATH_MAX])
{
	const char *log = c->connection_log;
	char here[PATH_MAX];
	int n;

	if (!log || strcmp(log, "-") == 0 || !realpath(".", here))
		return false;
	n = *log == '/' ? snprintf(ret_path, PATH_MAX, "%s", log)
			: snprintf(ret_path, PATH_MAX, "%s/%s", here, log);
	return n < PATH_MAX;
}

int run_check_given(const struct os_run_config *c, struct option_set *set)
{
	const struct option_list *dirs = &c->app.dirs;
	char project[PATH_MAX], log[PATH_MAX], folder[PATH_MAX], path[PATH_MAX];
	bool has_log = given_find_log(c, log);

	/* What isn't there is told by whoever needs it. */
	if (!given_find_project(c, project))
		return 0;
	for (size_t i = 0; i < dirs->count; i++) {
		if (!given_to_write(c, project, dirs->items[i], folder))
			continue;
		if (has_log && run_given_leads_through(log, folder))
			return option_set_refuse_given(set, "connection-log", c->connection_log,
				"the application may write to its folder (--dir), and so lead it "
				"to any other file: choose another place");
		for (size_t k = 0; k < dirs->count; k++)
			if (k != i && given_folder(project, dirs->items[k], path) &&
				run_given_leads_through(path, folder))
				return option_set_refuse_given(set, "dir", dirs->items[k],
					"it lies in another folder that the application may write "
					"to, and so lead to any other place: leave it out");
	}
	return 0;
}
