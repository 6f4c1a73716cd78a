/* SPDX-License-Identifier: MIT */
/* The option tables hold together, and everything that stock bore 0.6.0 takes is in them. */
#include "cli/commands.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/lang.h"
#include "cli/test_program_tables.h"
#include "conf/option.h"

static const struct {
	const char *command, *name, *env, *fallback;
	char letter;
} stock[] = {
	{ "local", "LOCAL_PORT", "BORE_LOCAL_PORT", NULL, 0 },
	{ "local", "local-host", NULL, "localhost", 'l' },
	{ "local", "to", "BORE_SERVER", NULL, 't' },
	{ "local", "port", NULL, "0", 'p' },
	{ "local", "secret", "BORE_SECRET", NULL, 's' },
	{ "local", "help", NULL, NULL, 'h' },
	{ "server", "min-port", "BORE_MIN_PORT", "1024", 0 },
	{ "server", "max-port", "BORE_MAX_PORT", "65535", 0 },
	{ "server", "secret", "BORE_SECRET", NULL, 's' },
	{ "server", "bind-addr", NULL, NULL, 0 },
	{ "server", "bind-tunnels", NULL, NULL, 0 },
	{ "server", "help", NULL, NULL, 'h' },
};

static void assert_same(const char *a, const char *b)
{
	assert_string_equal(a ? a : "-", b ? b : "-");
}

static void test_stock(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(stock); i++) {
		const struct command *command = program_find(&bore_program, stock[i].command);
		const struct option_def *def = option_find(command->table, stock[i].name);

		assert_same(def->env, stock[i].env);
		assert_same(def->fallback, stock[i].fallback);
		assert_int_equal(def->letter, stock[i].letter);
	}
}

static void test_tables(void **state)
{
	check_program(&bore_program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
