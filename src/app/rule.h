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

/* A folder above the project's whose files the build reads as well. */
struct app_root {
	const char *marker; /* name of a file in it; NULL at the end of a list */
	const char *says;   /* as in struct app_rule */
};

#define APP_RULE_BESIDE_MAX 3

/*
 * Patterns are those of glob(7) with {a,b}, from the project's folder. A file counts only if it is
 * a regular one, or a link to such: what else has its name would hold up whoever reads it.
 */
struct app_rule {
	const char *marker; /* pattern of files */
	/* Extended regular expression that the first of them holds, to which line ends are
	 * characters like others; NULL: it isn't looked into. */
	const char *says;
	const char *beside[APP_RULE_BESIDE_MAX]; /* patterns of what must be there as well */
	const char *kind;                        /* the word for it in messages */
	const char *shown; /* what is looked for, in messages; NULL: another row says it */
	/* It can't be run as it stands: what to say instead, all else is NULL. */
	const char *refusal;
	/* The build's words, NULL at the end; those below stand for others. NULL: the file itself
	 * is what runs, or its folder. */
	const char *const *build;
	const char *more; /* pattern of sources beside those that match; may be NULL */
	bool folder;
	/*
	 * Where the build leaves what runs, from the project's folder, NULL at the end: the first
	 * pattern with a match counts. It is one module, which is copied, or the index.html of a
	 * folder that is served. NULL: the build writes APP_WORD_OUT.
	 */
	const char *const *artefacts;
	const char *lead; /* what to do where there is none; NULL: nothing more is known */
	const char *pick; /* where there are several */
	const struct app_root *roots; /* looked for upwards, in this order; may be NULL */
	const struct app_tool *tools; /* `program` NULL at the end */
};

#define APP_WORD_OUT "{out}"         /* the module */
#define APP_WORD_SOURCES "{sources}" /* the files that match, one word each, but for tests */
#define APP_WORD_CACHE \
	"{cache}" /* a folder in the cache for this project; an artefact may begin so */

/* A build that ends so has found its toolchain wanting: its last line says what is missing, and
 * what brings it. It is EX_UNAVAILABLE of sysexits.h. */
#define APP_BUILD_LACKS 69

extern const struct app_rule app_rules[];
extern const size_t app_rule_count;

#endif
