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
#include "base/file.h"
#include "base/log.h"

#define SHOWN_MAX 160 /* of a path in a message */
#define PICK "say --wasm FILE"
#define COPY_AT_ONCE (16U << 20) /* between two looks at whether it is still wanted */

static int artefact_copy_bytes(int in, int out, const atomic_bool *canceled)
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

static const char *artefact_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int artefact_fail_count(
	const struct app_plan *plan, const char *pattern, const glob_t *found, char *ret_why)
{
	const char *lead = plan->lead ? plan->lead : PICK, *pick = plan->pick ? plan->pick : PICK;
	bool cached = plan->cache && strncmp(pattern, plan->cache, strlen(plan->cache)) == 0;
	char first[SHOWN_MAX], second[SHOWN_MAX];
	size_t n = found->gl_pathc;
	const char *a = n        ? artefact_name(found->gl_pathv[0])
			: cached ? artefact_name(pattern)
				 : pattern;
	const char *b = n ? artefact_name(found->gl_pathv[1]) : "";

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
static char *artefact_site(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode))
		return strdup(path);
	if (strcmp(artefact_name(path), "index.html") != 0 || !S_ISREG(st.st_mode))
		return NULL;
	return strndup(path, (size_t)(artefact_name(path) - path) - 1);
}

static int artefact_copy(
	const struct app_plan *plan, const char *path, const atomic_bool *canceled, char *ret_why)
{
	_cleanup_(fd_closep) int in = -1, out = -1;
	char shown[SHOWN_MAX];
	uint64_t size;
	/* What the build has left may be a pipe. */
	int r = file_open_limited(path, MODULE_SIZE_MAX, &in, &size);

	if (r == 0) {
		out = open(plan->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		r = out < 0 ? -errno : artefact_copy_bytes(in, out, canceled);
	}
	log_escape(shown, sizeof shown, path, strlen(path));
	if (r == -ESPIPE || r == -ENODEV)
		snprintf(ret_why, APP_WHY_MAX, "'%s' is no regular file", shown);
	else if (r == -EFBIG)
		snprintf(ret_why, APP_WHY_MAX, "'%s' is larger than " MODULE_SIZE_TEXT, shown);
	else if (r < 0)
		snprintf(ret_why, APP_WHY_MAX, "can't copy '%s': %s", shown, strerror(-r));
	return r;
}

/* The artefact, at its place in the plan. */
static int artefact_fetch(
	struct app_plan *plan, const atomic_bool *canceled, char **ret_path, char *ret_why)
{
	_cleanup_(globfree) glob_t found = { 0 };
	_cleanup_(freep) char *site = NULL, *path = NULL;
	int r = artefact_find(plan, &found, ret_why);

	if (r < 0)
		return r;
	site = found.gl_pathc ? artefact_site(found.gl_pathv[0]) : NULL;
	if (!site && found.gl_pathc != 1)
		return artefact_fail_count(plan, plan->artefacts[0], &found, ret_why);
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

int artefact_take(struct app_plan *plan, const atomic_bool *canceled, char **ret_made,
	char ret_why[APP_WHY_MAX])
{
	_cleanup_(freep) char *made = NULL;
	int r = plan->artefacts ? artefact_fetch(plan, canceled, &made, ret_why) : 0;

	if (r == 0)
		r = module_inspect(app_plan_file(plan), &plan->info, ret_why);
	if (r == 0)
		*ret_made = take_ptr(made);
	return r;
}
