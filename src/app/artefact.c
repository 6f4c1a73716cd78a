/* SPDX-License-Identifier: MIT */
/* It is copied, since the tool may have linked it to a file that it will write to. */
#include "app/artefact.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/plan.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"

#define SHOWN_MAX 160 /* of a path in a message */
#define PICK "say --wasm FILE"
#define COPY_AT_ONCE (16U << 20) /* between two looks at whether it is still wanted */

static int copy_bytes(int in, int out, const atomic_bool *canceled)
{
	uint64_t left = MODULE_SIZE_MAX;
	ssize_t n = 1;

	/* The file may grow, and is judged again by its end. */
	while (n > 0 && left > 0) {
		if (atomic_load(canceled))
			return -ECANCELED;
		n = sendfile(out, in, NULL, (size_t)min_u64(left, COPY_AT_ONCE));
		if (n < 0)
			return -errno;
		left -= (uint64_t)n;
	}
	return 0;
}

static int copy_file(const char *from, const char *to, const atomic_bool *canceled)
{
	/* Not blocking: what the build has left may be a pipe. */
	_cleanup_(fd_closep) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_(fd_closep) int out = -1;
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	if (st.st_size > MODULE_SIZE_MAX)
		return -EFBIG;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return out < 0 ? -errno : copy_bytes(in, out, canceled);
}

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int fail_count(
	const struct app_plan *plan, const char *pattern, const glob_t *found, char *ret_why)
{
	const char *lead = plan->lead ? plan->lead : PICK, *pick = plan->pick ? plan->pick : PICK;
	bool cached = plan->cache && strncmp(pattern, plan->cache, strlen(plan->cache)) == 0;
	char first[SHOWN_MAX], second[SHOWN_MAX];
	size_t n = found->gl_pathc;
	const char *a = n ? base_name(found->gl_pathv[0]) : cached ? base_name(pattern) : pattern;
	const char *b = n ? base_name(found->gl_pathv[1]) : "";

	log_escape(first, sizeof first, a, strlen(a));
	log_escape(second, sizeof second, b, strlen(b));
	if (n == 0)
		snprintf(ret_why, APP_WHY_MAX, "there is no '%s': %s", first, lead);
	else
		snprintf(ret_why, APP_WHY_MAX, "there are %zu modules ('%s', '%s'%s): %s", n, first,
			second, n > 2 ? ", ..." : "", pick);
	return -ENOENT;
}

/* The first pattern with a match counts. */
static int artefact_find(const struct app_plan *plan, glob_t *ret_found, char *ret_why)
{
	int r = GLOB_NOMATCH;

	for (char **pattern = plan->artefacts; r == GLOB_NOMATCH && *pattern; pattern++) {
		globfree(ret_found);
		*ret_found = (glob_t){ 0 };
		r = glob(*pattern, GLOB_BRACE, NULL, ret_found);
	}
	if (r == 0 || r == GLOB_NOMATCH)
		return 0;
	snprintf(ret_why, APP_WHY_MAX, "can't look for what the build has made");
	return -EIO;
}

/* The folder that is served: PATH itself, or the one of an index.html. NULL: it is no site. */
static char *site_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode))
		return strdup(path);
	if (strcmp(base_name(path), "index.html") != 0 || !S_ISREG(st.st_mode))
		return NULL;
	return strndup(path, (size_t)(base_name(path) - path) - 1);
}

static int artefact_copy(
	const struct app_plan *plan, const char *path, const atomic_bool *canceled, char *ret_why)
{
	char shown[SHOWN_MAX];
	int r = copy_file(path, plan->output, canceled);

	log_escape(shown, sizeof shown, path, strlen(path));
	if (r == -EBADF)
		snprintf(ret_why, APP_WHY_MAX, "'%s' is no regular file", shown);
	else if (r == -EFBIG)
		snprintf(ret_why, APP_WHY_MAX, "'%s' is larger than " MODULE_SIZE_TEXT, shown);
	else if (r < 0)
		snprintf(ret_why, APP_WHY_MAX, "can't copy '%s': %s", shown, strerror(-r));
	return r;
}

int artefact_take(struct app_plan *plan, const atomic_bool *canceled, char **ret_path,
	char ret_why[APP_WHY_MAX])
{
	_cleanup_(globfree) glob_t found = { 0 };
	_cleanup_(freep) char *site = NULL, *path = NULL;
	int r = artefact_find(plan, &found, ret_why);

	if (r < 0)
		return r;
	site = found.gl_pathc ? site_of(found.gl_pathv[0]) : NULL;
	if (!site && found.gl_pathc != 1)
		return fail_count(plan, plan->artefacts[0], &found, ret_why);
	path = strdup(site ? site : found.gl_pathv[0]);
	if (!path)
		return -ENOMEM;
	if (!site)
		r = artefact_copy(plan, path, canceled, ret_why);
	if (r < 0)
		return r;
	if (site) {
		free(plan->module);
		plan->module = take_ptr(site);
		free(take_ptr(plan->output));
	}
	*ret_path = take_ptr(path);
	return 0;
}
