/* SPDX-License-Identifier: MIT */
/* The option tables hold together, and everything that stock bore 0.6.0 takes is in them. */
#include "cli/commands.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "conf/option.h"
#include "conf/option_value.h"

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
		const struct command *command = command_find(stock[i].command);
		const struct option_def *def = option_find(command->table, stock[i].name);

		assert_same(def->env, stock[i].env);
		assert_same(def->fallback, stock[i].fallback);
		assert_int_equal(def->letter, stock[i].letter);
	}
}

static void check_def(const struct option_def *def)
{
	union {
		uint64_t number;
		const char *text;
	} value;
	struct option_def at_start = *def;
	char why[OPTION_WHY_MAX];

	assert_true(*def->help && def->help[strlen(def->help) - 1] != '.');
	assert_int_equal(def->type == OPTION_CHOICE, def->choices != NULL);
	if (!def->positional)
		assert_int_equal(option_takes_value(def), def->value_name != NULL);
	at_start.offset = 0;
	if (def->fallback)
		assert_int_equal(option_value_set(&at_start, def->fallback, &value, why), 0);
}

static void test_tables(void **state)
{
	for (size_t c = 0; c < command_count; c++) {
		const struct option_table *t = commands[c].table;
		uint64_t letters[4] = { 0 };

		assert_true(t->count <= OPTIONS_MAX);
		assert_ptr_equal(command_find(t->command), &commands[c]);
		for (size_t i = 0; i < t->count; i++) {
			uint8_t letter = (uint8_t)t->defs[i].letter;

			check_def(&t->defs[i]);
			if (letter) {
				assert_false(letters[letter / 64] >> letter % 64 & 1);
				letters[letter / 64] |= UINT64_C(1) << letter % 64;
			}
			if (i && !t->defs[i - 1].positional) {
				assert_false(t->defs[i].positional);
				assert_true(strcmp(t->defs[i - 1].name, t->defs[i].name) < 0);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
