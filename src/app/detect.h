/* SPDX-License-Identifier: MIT */
/*
 * What is in the user's folder, and how it becomes a running application. One table says what is
 * looked for; the first row that matches wins.
 */
#ifndef APP_DETECT_H
#define APP_DETECT_H

#include <stdint.h>

#include "app/module.h"

#define APP_SOURCES_MAX 1024 /* files that one row may take */

/* A program that a build needs. */
struct app_tool {
	const char *program; /* found along PATH */
	const char *install; /* the command that brings it */
	/* The oldest version that will do; NULL or 0: any will. A program that has no such file is
	 * taken for new enough: its own message tells when it isn't. */
	const char *name;         /* of the toolchain, in messages */
	const char *version_file; /* from the program's real folder; begins with `prefix`, then
				     MAJOR.MINOR */
	const char *prefix;
	uint16_t major, minor;
};

struct app_rule {
	const char *marker; /* pattern of a file name, as of fnmatch(3) */
	const char *kind;   /* the word for it in messages and in the API */
	/* The build's words, NULL at the end: APP_WORD_OUT and APP_WORD_SOURCES stand for the
	 * module, and for the files that match. NULL: the file itself is what runs. */
	const char *const *build;
	const struct app_tool *tools; /* `program` NULL at the end */
};

#define APP_WORD_OUT "{out}"
#define APP_WORD_SOURCES "{sources}"

struct app_overrides {
	const char *build, *wasm; /* NULL: as detected */
};

/* How to run it. All texts are owned; the paths are absolute. */
struct app_plan {
	const char *kind;
	const struct app_tool *tools; /* of the build; may be NULL */
	char *folder;                 /* the project's: where the build runs */
	char *module;                 /* what is run */
	char *output; /* what the build writes; moved to `module` when it has succeeded.
			 NULL: it writes `module` itself */
	char **build; /* argv; NULL: nothing is to be built */
};

/*
 * `path` is a folder or a file. Built modules go to `cache_dir`, a folder of the user's own which
 * exists, and never into the project. 0, or a negative errno, and ret_why says in one line what is
 * wrong or what was looked for.
 */
int app_detect(const char *path, const struct app_overrides *overrides, const char *cache_dir,
	struct app_plan *ret_plan, char ret_why[APP_WHY_MAX]);

/* Fine on an empty one. */
void app_plan_clear(struct app_plan *plan);

#endif
