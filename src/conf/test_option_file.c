/* SPDX-License-Identifier: MIT */
/* Files against the values that they give, and every mistake in one against its message. */
#include "conf/option_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/secret.h"
#include "conf/toml.h"

struct values {
	const char *server;
	uint64_t port, delay;
	struct option_list args;
	struct secret secret;
	bool expose;
};

static const struct option_def defs[] = {
	{ .name = "arg",
		.type = OPTION_LIST,
		.value_name = "ARG",
		.key = "app.args",
		.offset = offsetof(struct values, args) },
	{ .name = "delay",
		.type = OPTION_DURATION,
		.value_name = "DURATION",
		.max = 60000,
		.fallback = "7s",
		.key = "delay",
		.offset = offsetof(struct values, delay) },
	{ .name = "expose",
		.type = OPTION_FLAG,
		.key = "os.expose",
		.env = "TEST_EXPOSE",
		.offset = offsetof(struct values, expose) },
	{ .name = "port",
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.max = 65535,
		.key = "os.port",
		.env = "TEST_PORT",
		.offset = offsetof(struct values, port) },
	{ .name = "secret",
		.type = OPTION_SECRET,
		.value_name = "SECRET",
		.key = "os.secret",
		.offset = offsetof(struct values, secret) },
	{ .name = "server",
		.type = OPTION_TEXT,
		.value_name = "SERVER",
		.key = "os.server",
		.fallback = "default",
		.offset = offsetof(struct values, server) },
};

static const struct option_table table = {
	.program = "prog",
	.command = "cmd",
	.defs = defs,
	.count = ARRAY_LEN(defs),
};

struct reading {
	char dir[64], path[128];
	struct option_set set;
	struct values values;
	struct toml_file *file;
};

static void write_file(struct reading *r, const void *text, size_t len)
{
	FILE *out = fopen(r->path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
	struct reading *r = calloc(1, sizeof *r);

	unsetenv("TEST_EXPOSE");
	unsetenv("TEST_PORT");
	snprintf(r->dir, sizeof r->dir, "/tmp/test_option_file.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof r->path, "%s/f.toml", r->dir);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct reading *r = *state;

	toml_file_free(r->file);
	option_values_clear(&table, &r->values);
	unlink(r->path);
	rmdir(r->dir);
	free(r);
	return 0;
}

static int read_with(struct reading *r, const char *arg)
{
	char *argv[] = { (char[]){ "cmd" }, (char *)arg, NULL };
	int result = option_set_begin(&r->set, &table, &r->values, arg ? 2 : 1, argv);

	if (result == 0)
		result = option_set_read_file(&r->set, r->path, &r->file);
	if (result == 0)
		result = option_set_finish(&r->set);
	return result;
}

static void test_values(void **state)
{
	static const char text[] = "delay = '500ms'\n"
				   "[os]\nexpose = true\nport = 8_080\nserver = \"a\\u0041\"\n"
				   "secret = 'hush'\n[app]\nargs = ['-x', 'y', 3]\n";
	struct reading *r = *state;

	write_file(r, text, sizeof text - 1);
	assert_int_equal(read_with(r, NULL), 0);
	assert_true(r->values.expose);
	assert_int_equal(r->values.port, 8080);
	assert_int_equal(r->values.delay, 500);
	assert_string_equal(r->values.server, "aA");
	assert_string_equal(r->values.secret.text, "hush");
	assert_int_equal(r->values.args.count, 3);
	assert_string_equal(r->values.args.items[0], "-x");
	assert_string_equal(r->values.args.items[2], "3");
	assert_int_equal(option_set_source(&r->set, "port"), OPTION_FROM_FILE);
}

/* Argument, environment, file, default, in this order, for each option on its own. */
static void test_precedence(void **state)
{
	static const char text[] = "[os]\nexpose = true\nport = 1\nserver = 'file'\n"
				   "[app]\nargs = ['file', 'file']\n";
	struct reading *r = *state;

	write_file(r, text, sizeof text - 1);
	setenv("TEST_EXPOSE", "false", 1);
	setenv("TEST_PORT", "2", 1);
	assert_int_equal(read_with(r, "--arg=word"), 0);
	assert_false(r->values.expose);
	assert_int_equal(r->values.port, 2);
	assert_string_equal(r->values.server, "file");
	assert_int_equal(r->values.delay, 7000);
	assert_int_equal(r->values.args.count, 1);
	assert_string_equal(r->values.args.items[0], "word");
}

static void test_absent(void **state)
{
	struct reading *r = *state;

	assert_int_equal(read_with(r, NULL), 0);
	assert_null(r->file);
	assert_string_equal(r->values.server, "default");
}

static const struct {
	const char *text, *error; /* the error behind the path and its colon */
} bad[] = {
	{ "[os]\n\nserve = 1\n", "3: there is no key 'os.serve'" },
	{ "expose = true\n", "1: there is no key 'expose'" },
	{ "[os]\nexpose = 'yes'\n",
		"2: invalid value 'yes' for 'os.expose': it is neither true nor false" },
	{ "[os]\nport = 65536\n",
		"2: invalid value '65536' for 'os.port': it is not in 0..=65535" },
	{ "[os]\nport = -1\n", "2: invalid value '-1' for 'os.port': it is not a number" },
	{ "[os]\nport = 1.5\n",
		"2: invalid value for 'os.port': it is neither a text nor a whole number, true or "
		"false" },
	{ "[os]\nport = [1]\n",
		"2: invalid value '1' for 'os.port': one value is expected, not an array" },
	{ "[app]\nargs = 'x'\n",
		"2: invalid value 'x' for 'app.args': an array is expected: put it into "
		"square brackets" },
	{ "[app]\nargs = [['x']]\n",
		"2: invalid value for 'app.args': it is neither a text nor a whole number, true or "
		"false" },
	{ "[os]\nserver = \"a\\u0000b\"\n",
		"2: invalid value 'a' for 'os.server': it holds a NUL character" },
	{ "[os]\nserver = ''\n", "2: invalid value '' for 'os.server': it is empty" },
	{ "[os.'\x1b[2J']\nx = 1\n", NULL },
	{ "[os]\nport = 1\nport = 2\n", NULL },
	{ "[os\n", NULL },
	/* An assertion of toml++'s own once ended the program. */
	{ "[\nx = 1\n", "1: it is no TOML" },
	{ "\xff\xfe", NULL },
};

static void test_bad(void **state)
{
	struct reading *r = *state;
	char expected[512];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_file(r, bad[i].text, strlen(bad[i].text));
		assert_int_equal(read_with(r, NULL), OPTION_INVALID);
		assert_null(r->file);
		snprintf(expected, sizeof expected, "%s:%s", r->path,
			bad[i].error ? bad[i].error : "");
		if (strncmp(r->set.error, expected, strlen(expected)) != 0)
			fail_msg("'%s' instead of '%s'", r->set.error, expected);
		for (const char *c = r->set.error; *c; c++)
			assert_in_range(*c, 0x20, 0x7e);
	}
}

/* A mistake in the file counts although the variable is the one that is taken. */
static void test_bad_unused(void **state)
{
	struct reading *r = *state;

	setenv("TEST_PORT", "2", 1);
	write_file(r, "[os]\nport = 'x'\n", 16);
	assert_int_equal(read_with(r, NULL), OPTION_INVALID);
	assert_non_null(
		strstr(r->set.error, ":2: invalid value 'x' for 'os.port': it is not a number"));
}

static void test_too_big(void **state)
{
	static char text[OPTION_FILE_MAX + 1];
	struct reading *r = *state;

	memset(text, '\n', sizeof text);
	write_file(r, text, OPTION_FILE_MAX);
	assert_int_equal(read_with(r, NULL), 0);
	r->file = toml_file_free(r->file);
	write_file(r, text, OPTION_FILE_MAX + 1);
	assert_int_equal(read_with(r, NULL), OPTION_INVALID);
	assert_non_null(strstr(r->set.error, "File too large"));
}

/* As many values as a list may have, a line each; and the line of the first that is too many. */
static void test_long_list(void **state)
{
	struct reading *r = *state;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fputs("app.args = [\n", out);
	for (int i = 0; i < OPTION_LIST_MAX; i++)
		fprintf(out, "'%-50d',\n", i);
	fputs("]\n", out);
	assert_int_equal(fclose(out), 0);
	write_file(r, text, len);
	assert_int_equal(read_with(r, NULL), 0);
	assert_int_equal(r->values.args.count, OPTION_LIST_MAX);
	for (int i = 0; i < OPTION_LIST_MAX; i++)
		assert_int_equal(atoi(r->values.args.items[i]), i);
	r->file = toml_file_free(r->file);
	option_values_clear(&table, &r->values);
	memcpy(text + len - 2, "7]", 2);
	write_file(r, text, len);
	assert_int_equal(read_with(r, NULL), OPTION_INVALID);
	assert_non_null(strstr(r->set.error,
		":4098: invalid value '7' for 'app.args': there are more than 4096 of them"));
	free(text);
}

/* Brackets upon brackets would overflow the parser's stack if it did not count them. */
static void test_too_deep(void **state)
{
	static char text[OPTION_FILE_MAX];
	struct reading *r = *state;

	memset(text, '[', sizeof text);
	text[0] = 'a';
	text[1] = '=';
	write_file(r, text, sizeof text);
	assert_int_equal(read_with(r, NULL), OPTION_INVALID);
}

/* The parser doesn't count these: once each level had a longer key of its own, 2 GiB in all. */
static void test_too_many_dots(void **state)
{
	static char text[OPTION_FILE_MAX - sizeof "=1"];
	struct reading *r = *state;
	const struct toml_entry *entry;
	struct toml_file *file;
	char why[TOML_WHY_MAX];
	uint32_t line;

	text[0] = '\n';
	for (size_t i = 1; i < sizeof text; i++)
		text[i] = i % 2 ? 'a' : '.';
	memcpy(text + sizeof text - 3, "a=1", 3);
	write_file(r, text, sizeof text);
	assert_int_equal(read_with(r, NULL), OPTION_INVALID);
	assert_int_equal(toml_file_parse(text, sizeof text, &file, &line, why), -EINVAL);
	assert_int_equal(line, 2);
	assert_string_equal(why, "it has more than 256 dots");
	/* As deep as a line may be. */
	memcpy(text + 2 * TOML_DOTS_MAX + 1, "a=1", 3);
	assert_int_equal(toml_file_parse(text, 2 * TOML_DOTS_MAX + 4, &file, &line, why), 0);
	assert_int_equal(toml_file_count(file), 1);
	entry = toml_file_entry(file, 0);
	assert_int_equal(strlen(entry->key), 2 * TOML_DEPTH_MAX - 1);
	assert_null(entry->text);
	toml_file_free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_unused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_big, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_deep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_dots, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
