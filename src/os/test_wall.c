/* SPDX-License-Identifier: MIT */
/* What the rules are made of; how they hold is src/sandbox/test_wall.c's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "conf/option.h"
#include "os/engine_command.h"
#include "os/wall.h"
#include "sandbox/file_rules.h"
#include "sandbox/test_attempt.h"

static char folder[] = "/tmp/test-wall-XXXXXX", module[PATH_MAX], secret[PATH_MAX];

static int read_module(void)
{
	return attempt_result(open(module, O_RDONLY | O_CLOEXEC));
}

static int read_secret(void)
{
	return attempt_result(open(secret, O_RDONLY | O_CLOEXEC));
}

static int enter(const void *arg)
{
	return file_rules_enter(*(const int *)arg);
}

/* The module lies in the one folder of --dir. */
static int attempt(attempt_fn *fn, bool again)
{
	char program[] = "/bin/true", dir[PATH_MAX], why[APP_WHY_MAX] = "";
	const char *dir_items[] = { dir };
	char *words[] = { program, NULL };
	const struct option_list dirs = { .items = dir_items, .count = 1 };
	const struct engine_config engine = { .module = module, .dirs = &dirs };
	const struct engine_command command = { .argv = { .items = words, .count = 1 } };
	const struct wall_config config = {
		.engine = &engine, .command = &command, .again = again
	};
	struct spawn_wall wall;
	int r;

	(void)snprintf(dir, sizeof dir, "%s/data::/data", folder);
	assert_int_equal(wall_open(&config, &wall, why), 0);
	r = attempt_run(fn, enter, &wall.file_rules);
	fd_close(wall.file_rules);
	return r;
}

/* An application that has put a link in its module's place was shown what that led to, from its
 * next start on. */
static void test_module_in_the_applications_hands(void **state)
{
	if (file_rules_abi(0) == 0)
		skip();
	attempt_expect("its module", "in a folder of its own", attempt(read_module, true), 0);
	attempt_expect("another file", "before", attempt(read_secret, true), -EACCES);
	assert_int_equal(unlink(module), 0);
	assert_int_equal(symlink(secret, module), 0);
	attempt_expect("what a link leads to", "once", attempt(read_secret, false), 0);
	attempt_expect("what a link leads to", "again", attempt(read_secret, true), -EACCES);
}

static void make(const char *path)
{
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
}

static int setup(void **state)
{
	char data[PATH_MAX];

	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(data, sizeof data, "%s/data", folder);
	(void)snprintf(module, sizeof module, "%s/data/module.wasm", folder);
	(void)snprintf(secret, sizeof secret, "%s/secret", folder);
	assert_int_equal(mkdir(data, 0700), 0);
	make(module);
	make(secret);
	return 0;
}

static int teardown(void **state)
{
	char data[PATH_MAX];

	(void)snprintf(data, sizeof data, "%s/data", folder);
	return unlink(module) || unlink(secret) || rmdir(data) || rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_module_in_the_applications_hands),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
