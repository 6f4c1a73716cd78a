/* SPDX-License-Identifier: MIT */
/* What can be run: one row for each sort of project, in the order in which they are looked for. */
#ifndef APP_RULE_H
#define APP_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A program that a build needs. */
struct app_tool {
	const char *program; /* found along PATH */
	const char *install; /* the command that brings it */
	const char *folder;  /* in the project, looked into before PATH; NULL: none */
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
	const char *beside; /* what must be in the same folder; NULL: nothing */
	const char *kind;   /* the word for it in messages */
	/* The build's words, NULL at the end; those below stand for others. NULL: the file itself
	 * is what runs, or its folder. */
	const char *const *build;
	bool folder;
	/* Where the build leaves the module, as of glob(7) and from the project's folder: exactly
	 * one file. NULL: it writes APP_WORD_OUT. */
	const char *artefact;
	const struct app_tool *tools; /* `program` NULL at the end */
};

#define APP_WORD_OUT "{out}"         /* the module */
#define APP_WORD_SOURCES "{sources}" /* the files that match, one word each */
#define APP_WORD_CACHE \
	"{cache}" /* a folder in the cache for this project; `artefact` may begin so */

/* A build that ends so has found its toolchain wanting: its last line says what is missing, and
 * what brings it. It is EX_UNAVAILABLE of sysexits.h. */
#define APP_BUILD_LACKS 69

extern const struct app_rule app_rules[];
extern const size_t app_rule_count;

#endif
