/* SPDX-License-Identifier: MIT */
#include "app/cache_dir.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"

#define SHOWN_MAX 256 /* of a path in a message */

/* mkdir -p: what is there is left as it is. */
static int cache_dir_make_all(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int cache_dir_path(const char *name, char **ret_path, char ret_why[APP_WHY_MAX])
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

int cache_dir_make(const char *name, char **ret_path, char ret_why[APP_WHY_MAX])
{
	char shown[SHOWN_MAX], *path;
	int r = cache_dir_path(name, &path, ret_why);

	if (r < 0)
		return r;
	r = cache_dir_make_all(path);
	if (r < 0) {
		snprintf(ret_why, APP_WHY_MAX, "can't make the folder '%s': %s",
			log_escape(shown, sizeof shown, path, strlen(path)), strerror(-r));
		free(path);
		return r;
	}
	*ret_path = path;
	return 0;
}

void cache_dir_remove(char *path)
{
	char *const roots[] = { path, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	if (!fts)
		return;
	for (FTSENT *e; (e = fts_read(fts));)
		if (e->fts_info != FTS_D)
			(void)remove(e->fts_accpath);
	(void)fts_close(fts);
}
