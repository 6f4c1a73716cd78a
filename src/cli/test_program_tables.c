/* SPDX-License-Identifier: MIT */
/* A program's option tables hold together. */
#include "cli/test_program_tables.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "cli/program.h"
#include "conf/option.h"
#include "conf/option_value.h"

/* Only with words that there are. */
static void check_words(const struct option_table *t, const struct option_def *def)
{
	uint32_t words = 0;

	if (!def->goes_with)
		return;
	assert_true(t->defs[0].positional && t->defs[0].type == OPTION_CHOICE);
	for (size_t i = 0; t->defs[0].choices[i]; i++)
		words |= OPTION_WITH(i);
	assert_int_equal(def->goes_with & ~words, 0);
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
	assert_false(option_is_list(def) && def->fallback);
	if (def->fallback)
		assert_int_equal(option_value_set(&at_start, def->fallback, &value, why), 0);
}

void check_program(const struct program *program)
{
	for (size_t c = 0; c < program->count; c++) {
		const struct option_table *t = program->commands[c].table;
		uint64_t letters[4] = { 0 };

		assert_true(t->count <= OPTIONS_MAX);
		assert_string_equal(t->program, program->name);
		assert_ptr_equal(program_find(program, t->command), &program->commands[c]);
		for (size_t i = 0; i < t->count; i++) {
			uint8_t letter = (uint8_t)t->defs[i].letter;

			check_def(&t->defs[i]);
			check_words(t, &t->defs[i]);
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
