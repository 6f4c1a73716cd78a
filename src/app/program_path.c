/* SPDX-License-Identifier: MIT */
#include "app/program_path.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool program_path_is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool program_path_find(const char *program, char *ret_path)
{
	const char *dir = getenv("PATH");

	while (dir) {
		size_t len = strcspn(dir, ":");
		int n = snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)len, dir, program);

		if (len > 0 && n > 0 && n < PATH_MAX && program_path_is_program(ret_path))
			return true;
		dir = dir[len] ? dir + len + 1 : NULL;
	}
	return false;
}
