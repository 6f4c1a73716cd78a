/* SPDX-License-Identifier: MIT */
/* Where the guide lies beside a program: installed, in a build folder, and nowhere. */
#include "base/guide.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"

/* This program again, for a copy of it elsewhere: says what it finds. */
#define FIND "find"

static char root[] = "/tmp/test_guide.XXXXXX";

static void run(const char *command)
{
	/* The commands are this file's own: NOLINTNEXTLINE(cert-env33-c) */
	assert_int_equal(system(command), 0);
}

/* What a copy of this program in that folder finds for "bore", below `root`. */
static void finds(const char *folder, const char *expected)
{
	char command[2 * PATH_MAX], said[PATH_MAX] = "";
	FILE *copy;

	snprintf(command, sizeof command, "mkdir -p %s/%s && cp /proc/%d/exe %s/%s/program", root,
		folder, (int)getpid(), root, folder);
	run(command);
	snprintf(command, sizeof command, "%s/%s/program " FIND, root, folder);
	/* NOLINTNEXTLINE(cert-env33-c) */
	copy = popen(command, "r");
	assert_non_null(copy);
	assert_non_null(fgets(said, sizeof said, copy));
	assert_int_equal(pclose(copy), 0);
	said[strcspn(said, "\n")] = '\0';
	if (*expected)
		assert_string_equal(said + strlen(root) + 1, expected);
	else
		assert_string_equal(said, "none");
}

static void test_places(void **state)
{
	char command[2 * PATH_MAX];

	assert_non_null(mkdtemp(root));
	finds("usr/bin", "");
	snprintf(command, sizeof command,
		"cd %s && mkdir -p usr/share/doc/bore docs && touch usr/share/doc/bore/README.md "
		"docs/README.md",
		root);
	run(command);
	finds("usr/bin", "usr/share/doc/bore/README.md");
	finds("build", "docs/README.md");
	finds("elsewhere/bin", "");
	snprintf(command, sizeof command, "rm -r %s", root);
	run(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_places) };
	char path[PATH_MAX];

	if (argc == 2 && strcmp(argv[1], FIND) == 0) {
		puts(guide_find("bore", path) == 0 ? path : "none");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
