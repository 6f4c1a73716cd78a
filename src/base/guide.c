/* SPDX-License-Identifier: MIT */
/* It is looked for beside the program, not at a path of the build: an archive may be unpacked
 * anywhere.
 */
#include "base/guide.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lang.h"

int guide_find(const char *program, char ret_path[PATH_MAX])
{
	/* From the program's folder; the second part is the program's name where it isn't NULL. */
	static const char *const places[][2] = { { "../share/doc/", NULL }, { "../docs", "" } };
	char own[PATH_MAX], path[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);

	if (n < 0)
		return -errno;
	own[n] = '\0';
	*strrchr(own, '/') = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof path, "%s/%s%s/README.md", own, places[i][0],
			places[i][1] ? places[i][1] : program);
		if (realpath(path, ret_path))
			return 0;
	}
	return -ENOENT;
}
