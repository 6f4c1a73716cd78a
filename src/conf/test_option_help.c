/* SPDX-License-Identifier: MIT */
/* What --help, the manual page and the completion scripts make of a table. */
#include "conf/option_help.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"

#include "conf/option.h"
#include "conf/option_complete.h"

static const struct option_def defs[] = {
	{ .name = "PORT",
		.type = OPTION_NUMBER,
		.positional = true,
		.required = true,
		.env = "TEST_PORT",
		.key = "test.port",
		.help = "The port" },
	{ .name = "PLACE", .type = OPTION_TEXT, .positional = true, .help = "Where" },
	{ .name = "mode",
		.type = OPTION_CHOICE,
		.value_name = "MODE",
		.letter = 'm',
		.fallback = "auto",
		.choices = (const char *const[]){ "auto", "copy", NULL },
		.help = "How it's done [or not]: a text that is long enough to need a second "
			"line" },
	{ .name = "secret-file",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.required = true,
		.help = "A \\file" },
};

static const struct option_table table = {
	.program = "prog",
	.command = "cmd",
	.summary = "Does it",
	.defs = defs,
	.count = ARRAY_LEN(defs),
};

static const char help[] =
	"Does it\n"
	"\n"
	"Usage: prog cmd [OPTIONS] --secret-file <FILE> <PORT> [PLACE]\n"
	"\n"
	"Arguments:\n"
	"  <PORT>                                The port [env: TEST_PORT] [key: test.port]\n"
	"  <PLACE>                               Where\n"
	"\n"
	"Options:\n"
	"  -m, --mode <MODE>                     How it's done [or not]: a text "
	"that is long enough to need a\n"
	"                                        second line [default: auto] "
	"[possible values: auto, copy]\n"
	"      --secret-file <FILE>              A \\file\n";

static const char man[] =
	".It Ar PORT\nThe port.\nEnvironment variable:\n.Ev TEST_PORT .\n"
	"Key of the file:\n.Ql test.port .\n"
	".It Ar PLACE\nWhere.\n"
	".It Fl m , Fl -mode Ar MODE\n"
	"How it's done [or not]: a text that is long enough to need a second line.\n"
	"One of\n.Cm auto ,\n.Cm copy .\nThe default is\n.Cm auto .\n"
	".It Fl -secret-file Ar FILE\nA \\efile.\n";

struct output {
	char *text;
	size_t len;
	FILE *file;
};

static FILE *output_open(struct output *o)
{
	o->file = open_memstream(&o->text, &o->len);
	assert_non_null(o->file);
	return o->file;
}

static void output_expect(struct output *o, const char *expected)
{
	fclose(o->file);
	assert_string_equal(o->text, expected);
	free(o->text);
}

static void output_expect_part(struct output *o, const char *part)
{
	fflush(o->file);
	if (!strstr(o->text, part))
		fail_msg("'%s' is not in:\n%s", part, o->text);
}

static void output_close(struct output *o)
{
	fclose(o->file);
	free(o->text);
}

static void test_help(void **state)
{
	struct output o;

	option_write_help(&table, output_open(&o));
	output_expect(&o, help);
}

static void test_man(void **state)
{
	struct output o;

	option_write_man(&table, output_open(&o));
	output_expect(&o, man);
}

static void test_completion(void **state)
{
	const struct option_table *const tables[] = { &table };
	struct output o;

	option_write_completion(OPTION_SHELL_BASH, tables, 1, output_open(&o));
	output_expect_part(&o, "words='--help --version cmd'");
	output_expect_part(&o, "-m | --mode) words='auto copy' ;;");
	output_expect_part(&o, "--secret-file) action=-f ;;");
	output_close(&o);

	option_write_completion(OPTION_SHELL_FISH, tables, 1, output_open(&o));
	output_expect_part(&o, " -l mode -s m -xa 'auto copy' -d 'How it'\\''s done [or not]: ");
	output_expect_part(&o, " -l secret-file -rF -d 'A \\\\file'\n");
	output_close(&o);

	option_write_completion(OPTION_SHELL_ZSH, tables, 1, output_open(&o));
	output_expect_part(&o, "'(-m --mode)'{-m,--mode=}'[How it'\\''s done \\[or not\\]\\: ");
	output_expect_part(&o, ":MODE:(auto copy)'");
	output_expect_part(&o, "'--secret-file=[A \\\\file]:FILE:_files'");
	output_close(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_man),
		cmocka_unit_test(test_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
