/* SPDX-License-Identifier: MIT */
/* The option tables of `wasmrun` hold together. */
#include "cli/wasmrun_commands.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cli/test_program_tables.h"

static void test_tables(void **state)
{
	check_program(&wasmrun_program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
