/* SPDX-License-Identifier: MIT */
/* Command lines and environments against what they give: precedence, clap's rules, and the
 * messages. */
#include "conf/option.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/secret.h"

#define ARGS_MAX 8

struct values {
	const char *to, *file;
	uint64_t port, delay, mode;
	struct secret secret;
	bool quiet;
};

static const struct option_def defs[] = {
	{ .name = "LOCAL_PORT",
		.type = OPTION_NUMBER,
		.positional = true,
		.required = true,
		.max = 9,
		.env = "TEST_PORT",
		.help = "port",
		.offset = offsetof(struct values, port) },
	{ .name = "delay",
		.type = OPTION_DURATION,
		.value_name = "DURATION",
		.max = 60000,
		.fallback = "5s",
		.help = "delay",
		.offset = offsetof(struct values, delay) },
	{ .name = "file",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.help = "file",
		.offset = offsetof(struct values, file) },
	{ .name = "help", .type = OPTION_HELP, .letter = 'h', .help = "help" },
	{ .name = "mode",
		.type = OPTION_CHOICE,
		.value_name = "MODE",
		.fallback = "auto",
		.choices = (const char *const[]){ "auto", "copy", NULL },
		.help = "mode",
		.env = "TEST_MODE",
		.offset = offsetof(struct values, mode) },
	{ .name = "quiet",
		.type = OPTION_FLAG,
		.letter = 'q',
		.help = "quiet",
		.offset = offsetof(struct values, quiet) },
	{ .name = "secret",
		.type = OPTION_SECRET,
		.letter = 's',
		.value_name = "SECRET",
		.env = "TEST_SECRET",
		.help = "secret",
		.offset = offsetof(struct values, secret) },
	{ .name = "to",
		.type = OPTION_TEXT,
		.letter = 't',
		.value_name = "TO",
		.required = true,
		.help = "to",
		.offset = offsetof(struct values, to) },
};

static const struct option_table table = {
	.program = "prog",
	.command = "cmd",
	.summary = "Tests",
	.defs = defs,
	.count = ARRAY_LEN(defs),
};

struct command_line {
	char room[512];
	char *argv[ARGS_MAX + 2];
	int argc;
};

/* Words in writable memory, split at blanks; "~" stands for an empty word. */
static void command_line_init(struct command_line *line, const char *words)
{
	char *word, *save = NULL;

	snprintf(line->room, sizeof line->room, "cmd %s", words);
	line->argc = 0;
	for (word = strtok_r(line->room, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(line->argc <= ARGS_MAX);
		if (*word == '~')
			*word = '\0';
		line->argv[line->argc++] = word;
	}
	line->argv[line->argc] = NULL;
}

static int parse(struct option_set *set, struct values *values, const char *words)
{
	struct command_line line;

	*values = (struct values){ 0 };
	command_line_init(&line, words);
	return option_set_parse(set, &table, values, line.argc, line.argv);
}

static void clear_env(void)
{
	unsetenv("TEST_PORT");
	unsetenv("TEST_MODE");
	unsetenv("TEST_SECRET");
}

static const struct {
	const char *words;
	uint64_t port;
	const char *to_starts;
	bool quiet;
} good[] = {
	{ "7 --to x", 7, "x", false },
	{ "--to x 7", 7, "x", false },
	{ "--to=x 7 -q", 7, "x", true },
	{ "-tx -qq 7", 7, "x", true },
	{ "-t=x 7", 7, "x", false },
	{ "-qt x 7", 7, "x", true },
	{ "-t x -- 7", 7, "x", false },
	{ "-t - 7", 7, "-", false },
	{ "--to=-x 7", 7, "-x", false },
};

static void test_good(void **state)
{
	struct option_set set;
	struct values values;

	for (int posix = 0; posix < 2; posix++)
		for (size_t i = 0; i < ARRAY_LEN(good); i++) {
			/* getopt(3) stops at the first word that is no option when this is set. */
			if (posix)
				setenv("POSIXLY_CORRECT", "1", 1);
			assert_int_equal(parse(&set, &values, good[i].words), 0);
			assert_int_equal(values.port, good[i].port);
			assert_int_equal(values.quiet, good[i].quiet);
			assert_int_equal(option_set_source(&set, "LOCAL_PORT"), OPTION_FROM_ARG);
		}
	unsetenv("POSIXLY_CORRECT");
}

static const struct {
	const char *words, *error;
} bad[] = {
	{ "", "the following required arguments were not provided: '<LOCAL_PORT>' or variable "
	      "TEST_PORT, "
	      "'--to <TO>'" },
	{ "5", "the following required arguments were not provided: '--to <TO>'" },
	{ "10 -t x", "invalid value '10' for '<LOCAL_PORT>': it is not in 0..=9" },
	{ "abc -t x", "invalid value 'abc' for '<LOCAL_PORT>': it is not a number" },
	{ "~ -t x", "invalid value '' for '<LOCAL_PORT>': it is not a number" },
	{ "5 6 -t x", "unexpected argument '6' found" },
	{ "5 -t x -- -q", "unexpected argument '-q' found" },
	{ "5 --foo=bar", "unexpected argument '--foo' found" },
	{ "5 --qui -t x", "unexpected argument '--qui' found" },
	{ "5 --t x", "unexpected argument '--t' found" },
	{ "5 -qz -t x", "unexpected argument '-z' found" },
	{ "5 -t", "a value is required for '--to <TO>' but none was supplied" },
	{ "5 --to", "a value is required for '--to <TO>' but none was supplied" },
	{ "5 --to --quiet", "a value is required for '--to <TO>' but none was supplied" },
	{ "5 -t -q", "a value is required for '--to <TO>' but none was supplied" },
	{ "5 --to= -q", "invalid value '' for '--to <TO>': it is empty" },
	{ "5 -t a --to b", "the argument '--to <TO>' cannot be used multiple times" },
	{ "5 --quiet=1 -t x", "unexpected value for '--quiet' found" },
	{ "5 -t x --mode fast",
		"invalid value 'fast' for '--mode <MODE>': it is none of auto, copy" },
	{ "5 -t x --delay 2m",
		"invalid value '2m' for '--delay <DURATION>': it is not in 0h..=1m" },
	{ "5 -t x --delay soon",
		"invalid value 'soon' for '--delay <DURATION>': it is not a duration "
		"such as 500ms, 30s, 5m or 1h" },
	{ "5 -t x --mode \033[2J",
		"invalid value '\\x1b[2J' for '--mode <MODE>': it is none of auto, copy" },
};

static void test_bad(void **state)
{
	struct option_set set;
	struct values values;
	char expected[OPTION_ERROR_MAX];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse(&set, &values, bad[i].words), OPTION_INVALID);
		snprintf(expected, sizeof expected, "%s; see 'prog cmd --help'", bad[i].error);
		assert_string_equal(set.error, expected);
	}
}

/* What stands behind the last positional argument, be it an option or "--", is another program's.
 */
static void test_rest(void **state)
{
	static const struct {
		const char *words, *rest;
		bool quiet;
	} cases[] = {
		{ "-t x 7", "", false },
		{ "-tx 7 -q --to y -- ~ 8", "-q,--to,y,--,,8", false },
		{ "-q -t x 7 --help", "--help", true },
		{ "-t x -- 7 -q", "-q", false },
	};
	struct option_table with_rest = table;
	struct command_line line;
	struct option_set set;

	with_rest.rest = "ARGS";
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct values values = { 0 };
		char rest[64] = "";

		command_line_init(&line, cases[i].words);
		assert_int_equal(
			option_set_parse(&set, &with_rest, &values, line.argc, line.argv), 0);
		assert_int_equal(values.port, 7);
		assert_string_equal(values.to, "x");
		assert_int_equal(values.quiet, cases[i].quiet);
		for (char **word = set.rest; *word; word++)
			snprintf(rest + strlen(rest), sizeof rest - strlen(rest), "%s%s",
				word == set.rest ? "" : ",", *word);
		assert_string_equal(rest, cases[i].rest);
	}
}

enum { ADD, LIST, REMOVE };
static const char *const actions[] = { "add", "list", "remove", NULL };
struct word_values {
	uint64_t action;
	const char *spec, *to;
};
static const struct option_def word_defs[] = {
	{ .name = "ACTION",
		.type = OPTION_CHOICE,
		.positional = true,
		.required = true,
		.choices = actions,
		.offset = offsetof(struct word_values, action) },
	{ .name = "SPEC",
		.type = OPTION_TEXT,
		.positional = true,
		.required = true,
		.goes_with = OPTION_WITH(ADD) | OPTION_WITH(REMOVE),
		.offset = offsetof(struct word_values, spec) },
	{ .name = "to",
		.type = OPTION_TEXT,
		.value_name = "TO",
		.goes_with = OPTION_WITH(ADD),
		.env = "TEST_MODE",
		.offset = offsetof(struct word_values, to) },
};
static const struct option_table words = {
	.program = "prog",
	.command = "cmd",
	.defs = word_defs,
	.count = ARRAY_LEN(word_defs),
};

/* What goes with some of a command's sub-words is refused with the others, and required with its
 * own only; a variable may be set for good. */
static void test_words(void **state)
{
	static const struct {
		const char *words, *error;
	} cases[] = {
		{ "add x --to y", NULL },
		{ "remove x", NULL },
		{ "list", NULL },
		{ "list x", "'<SPEC>' goes with 'add' or 'remove' only" },
		{ "list --to y", "'--to' goes with 'add' only" },
		{ "--to y remove x", "'--to' goes with 'add' only" },
		{ "add", "the following required arguments were not provided: '<SPEC>'" },
		{ "", "the following required arguments were not provided: '<ACTION>', '<SPEC>'" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct word_values values = { 0 };
		struct command_line line;
		struct option_set set;

		command_line_init(&line, cases[i].words);
		assert_int_equal(option_set_parse(&set, &words, &values, line.argc, line.argv),
			cases[i].error ? OPTION_INVALID : 0);
		if (cases[i].error)
			assert_ptr_equal(strstr(set.error, cases[i].error), set.error);
		setenv("TEST_MODE", "y", 1);
		if (!cases[i].error)
			assert_int_equal(
				option_set_parse(&set, &words, &values, line.argc, line.argv), 0);
		unsetenv("TEST_MODE");
	}
}

static void test_help(void **state)
{
	struct option_set set;
	struct values values;

	assert_int_equal(parse(&set, &values, "--help"), OPTION_WANTS_HELP);
	assert_int_equal(parse(&set, &values, "-h nonsense"), OPTION_WANTS_HELP);
	/* The first mistake wins, as with clap. */
	assert_int_equal(parse(&set, &values, "--nonsense -h"), OPTION_INVALID);
}

static void test_precedence(void **state)
{
	struct option_set set;
	struct values values;

	assert_int_equal(parse(&set, &values, "5 -t x"), 0);
	assert_int_equal(values.mode, 0);
	assert_int_equal(values.delay, 5000);
	assert_int_equal(option_set_source(&set, "mode"), OPTION_FROM_DEFAULT);
	assert_int_equal(option_set_source(&set, "file"), OPTION_UNSET);
	assert_null(values.file);

	setenv("TEST_MODE", "copy", 1);
	setenv("TEST_PORT", "8", 1);
	assert_int_equal(parse(&set, &values, "-t x"), 0);
	assert_int_equal(values.mode, 1);
	assert_int_equal(values.port, 8);
	assert_int_equal(option_set_source(&set, "mode"), OPTION_FROM_ENV);

	assert_int_equal(parse(&set, &values, "5 -t x --mode auto"), 0);
	assert_int_equal(values.mode, 0);
	assert_int_equal(values.port, 5);
	assert_int_equal(option_set_source(&set, "mode"), OPTION_FROM_ARG);
}

static void test_bad_env(void **state)
{
	struct option_set set;
	struct values values;

	/* An empty variable is a value, as with clap. */
	setenv("TEST_PORT", "", 1);
	assert_int_equal(parse(&set, &values, "-t x"), OPTION_INVALID);
	assert_non_null(strstr(set.error, "invalid value '' for '<LOCAL_PORT>' in the variable "
					  "TEST_PORT: it is not a number"));
	/* What the command line gives is not looked at. */
	assert_int_equal(parse(&set, &values, "5 -t x"), 0);
}

static void test_secret(void **state)
{
	struct option_set set;
	struct values values = { 0 };
	struct command_line line;
	char *env;

	setenv("TEST_SECRET", "from the environment", 1);
	env = getenv("TEST_SECRET");
	command_line_init(&line, "5 -t x --secret=hush");
	assert_int_equal(option_set_parse(&set, &table, &values, line.argc, line.argv), 0);
	assert_string_equal(values.secret.text, "hush");
	assert_string_equal(line.argv[4], "--secret=x");
	assert_null(memmem(line.room, sizeof line.room, "hush", 4));
	/* Not used, but wiped all the same. */
	assert_null(getenv("TEST_SECRET"));
	assert_string_equal(env, "x");
	secret_clear(&values.secret);

	setenv("TEST_SECRET", "", 1);
	assert_int_equal(parse(&set, &values, "5 -t x"), 0);
	assert_true(values.secret.set);
	assert_int_equal(values.secret.len, 0);
	secret_clear(&values.secret);
}

static void test_long_secret(void **state)
{
	static char text[SECRET_MAX_LEN + 2];
	struct option_set set;
	struct values values = { 0 };
	char *argv[] = { (char[]){ "cmd" }, (char[]){ "5" }, (char[]){ "-tx" }, (char[]){ "-s" },
		text, NULL };

	memset(text, 'k', sizeof text - 1);
	assert_int_equal(option_set_parse(&set, &table, &values, 5, argv), OPTION_INVALID);
	assert_string_equal(set.error, "invalid value for '--secret <SECRET>': it is longer than "
				       "4096 bytes; see 'prog cmd --help'");
	assert_false(values.secret.set);
}

static int setup(void **state)
{
	clear_env();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good, setup),
		cmocka_unit_test_setup(test_bad, setup),
		cmocka_unit_test_setup(test_rest, setup),
		cmocka_unit_test_setup(test_words, setup),
		cmocka_unit_test_setup(test_help, setup),
		cmocka_unit_test_setup(test_precedence, setup),
		cmocka_unit_test_setup(test_bad_env, setup),
		cmocka_unit_test_setup(test_secret, setup),
		cmocka_unit_test_setup(test_long_secret, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
