/* SPDX-License-Identifier: MIT */
/* It is copied, since the tool may have linked it to a file that it will write to. */
#include "app/artefact.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/plan.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define SHOWN_MAX 160       /* of a path in a message */
#define COPY_MAX 0x7ffff000 /* sendfile(2) takes no more at once */

static int copy_file(const char *from, const char *to)
{
	_cleanup_(fd_closep) int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out = -1;
	ssize_t n;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	do
		n = sendfile(out, in, NULL, COPY_MAX);
	while (n > 0);
	return n < 0 ? -errno : 0;
}

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int take_one(const struct app_plan *plan, const glob_t *found, char *ret_why)
{
	char first[SHOWN_MAX], second[SHOWN_MAX];
	int r;

	if (found->gl_pathc != 1) {
		size_t n = found->gl_pathc;
		const char *a = n ? base_name(found->gl_pathv[0]) : plan->artefact;
		const char *b = n ? base_name(found->gl_pathv[1]) : "";

		log_escape(first, sizeof first, a, strlen(a));
		log_escape(second, sizeof second, b, strlen(b));
		if (n == 0)
			snprintf(ret_why, APP_WHY_MAX,
				"there is no '%s': see to it that the build makes one, or set "
				"'build' and 'wasm' in [app] of wasmrun.toml",
				first);
		else
			snprintf(ret_why, APP_WHY_MAX,
				"there are %zu modules ('%s', '%s'%s): set 'build' and 'wasm' in "
				"[app] of wasmrun.toml",
				n, first, second, n > 2 ? ", ..." : "");
		return -ENOENT;
	}
	r = copy_file(found->gl_pathv[0], plan->output);
	if (r < 0)
		snprintf(ret_why, APP_WHY_MAX, "can't copy '%s': %s",
			log_escape(first, sizeof first, found->gl_pathv[0],
				strlen(found->gl_pathv[0])),
			strerror(-r));
	return r;
}

int artefact_take(const struct app_plan *plan, char ret_why[APP_WHY_MAX])
{
	glob_t found = { 0 };
	int r = glob(plan->artefact, 0, NULL, &found);

	if (r != 0 && r != GLOB_NOMATCH) {
		snprintf(ret_why, APP_WHY_MAX, "can't look for what the build has made");
		return -EIO;
	}
	r = take_one(plan, &found, ret_why);
	globfree(&found);
	return r;
}
