/* SPDX-License-Identifier: MIT */
/* What is added to a document, and that all else of it stays. */
#include "conf/toml_edit.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/lang.h"
#include "base/secret.h"

static const struct {
	const char *before, *after; /* NULL: refused */
	uint32_t line;
} rows[] = {
	{ "", "[os.network]\nallow = [\"a:1\"]\n", 2 },
	{ "[app]\nwasm = 'x'", "[app]\nwasm = 'x'\n\n[os.network]\nallow = [\"a:1\"]\n", 5 },
	{ "# mine\n[os.network] # why\ndeny = ['x']\n",
		"# mine\n[os.network] # why\nallow = [\"a:1\"]\ndeny = ['x']\n", 3 },
	{ "[os.network]", "[os.network]\nallow = [\"a:1\"]\n", 2 },
	{ "[ os.network ]\nallow = []  # none\n[app]\nallow = 1\n",
		"[ os.network ]\nallow = [\"a:1\"]  # none\n[app]\nallow = 1\n", 2 },
	{ "[os.network]\nallow = [ ]  # none\n[app]\nargs = []\n",
		"[os.network]\nallow = [ \"a:1\"]  # none\n[app]\nargs = []\n", 2 },
	{ "[os.network]\nallow = ['b', \"c\\\"\"] # two\n",
		"[os.network]\nallow = ['b', \"c\\\"\", \"a:1\"] # two\n", 2 },
	{ "[os.network]\nallow = ['b',]\n", "[os.network]\nallow = ['b', \"a:1\",]\n", 2 },
	{ "[os.network]\nallow = [\n\t'b', # one\n\t# more?\n]\n",
		"[os.network]\nallow = [\n\t'b', # one\n\t\"a:1\",\n\t# more?\n]\n", 4 },
	{ "[os.network]\nallow = [\n  'b',\n  'c' # the last\n]\n",
		"[os.network]\nallow = [\n  'b',\n  'c', # the last\n  \"a:1\"\n]\n", 5 },
	{ "[os.network]\nallow = [\n  'b' ]\n", "[os.network]\nallow = [\n  'b', \"a:1\" ]\n", 3 },
	{ "os = { network = { allow = ['b'] } }\n",
		"os = { network = { allow = ['b', \"a:1\"] } }\n", 1 },
	{ "[os]\nnetwork.allow = ['\xc3\xa4', 'b']\n",
		"[os]\nnetwork.allow = ['\xc3\xa4', 'b', \"a:1\"]\n", 2 },
	{ "[os.network]\r\nallow = ['b']\r\n", "[os.network]\r\nallow = ['b', \"a:1\"]\r\n", 2 },
	{ "[os.network]\r\nallow = [\r\n  'b'\r\n]\r\n",
		"[os.network]\r\nallow = [\r\n  'b',\r\n  \"a:1\"\r\n]\r\n", 4 },
	{ "[os.network] # why\r\n", "[os.network] # why\r\nallow = [\"a:1\"]\r\n", 2 },
	{ "[app]\r\n", "[app]\r\n\r\n[os.network]\r\nallow = [\"a:1\"]\r\n", 4 },
	/* It is written as we don't read it: by hand, then. */
	{ "[os.network]\nallow = ['''b''']\n", NULL, 0 },
	{ "[os.network]\nallow = 'b'\n", NULL, 0 },
	{ "os = { network = {} }\n", NULL, 0 },
	{ "[app]\nargs = ['''\n[os.network]\n''']\n", NULL, 0 },
	{ "[os.network\n", NULL, 0 },
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct toml_appended made = { 0 };
		int r = toml_append(rows[i].before, strlen(rows[i].before), "os.network", "allow",
			"a:1", &made);

		if (!rows[i].after) {
			if (r != -EINVAL)
				fail_msg("row %zu is made '%s'", i, made.text);
			continue;
		}
		if (r != 0)
			fail_msg("row %zu: %d", i, r);
		assert_string_equal(made.text, rows[i].after);
		assert_int_equal(made.len, strlen(made.text));
		assert_int_equal(made.line, rows[i].line);
		/* Before and behind what is new all is as it was. */
		assert_memory_equal(made.text, rows[i].before, made.begin);
		assert_string_equal(made.text + made.end,
			rows[i].before + strlen(rows[i].before) - (made.len - made.end));
		secret_free(made.text);
	}
}

static void test_what_is_there(void **state)
{
	static const char text[] = "[os.network]\nallow = ['b', 'a:1']\n";
	struct toml_appended made;

	assert_int_equal(
		toml_append(text, strlen(text), "os.network", "allow", "a:1", &made), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
