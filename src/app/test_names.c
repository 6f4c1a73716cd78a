/* SPDX-License-Identifier: MIT */
/* Sections, whole and cut off at each byte, against the names in them. */
#include "app/names.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"

#define TEXT_MAX 256
#define BYTES(text) text, sizeof(text) - 1

typedef void (*read_fn)(const uint8_t *bytes, size_t len, name_fn fn, void *arg);

static const struct {
	read_fn read;
	const char *bytes;
	size_t len;
	const char *names; /* "MODULE.NAME " for each */
} cases[] = {
	/* A function, a table with and without a maximum, a table of references, a memory, a
	 * global and a tag. */
	{ names_read_imports,
		BYTES("\7\1m\1f\0\5"
		      "\1m\1t\1\x70\1\1\2"
		      "\1m\1u\1\x70\0\1"
		      "\1m\1v\1\x64\3\0\1"
		      "\1m\1n\2\0\x80\1"
		      "\1m\1g\3\x7f\1"
		      "\1m\1e\4\0\1"),
		"m.f m.t m.u m.v m.n m.g m.e " },
	/* Behind a kind that nobody knows, nothing can be told. */
	{ names_read_imports, BYTES("\2\1m\1f\x09\5\1m\1t\0\0"), "m.f " },
	{ names_read_imports, BYTES("\1\xff\xff\xff\xff\x0fm\1f\0\0"), "" },
	{ names_read_exports, BYTES("\2\6memory\2\0\6_start\0\x80\1"), ".memory ._start " },
	{ names_read_custom, BYTES("\4namexyz"), "name. " },
	{ names_read_custom,
		BYTES("\x09producers\2"
		      "\x08language\2\4Rust\0\3C11\0"
		      "\x0cprocessed-by\1\5rustc\0061.95.0"),
		"producers. producers.Rust producers.C11 producers.rustc " },
	{ names_read_custom, BYTES("\x09producers\1\1f\xff\xff\xff\xff\x0f\1a\1v\2b"),
		"producers. producers.a " },
	/* An instance, a function with its type, a core module, and a name with options. */
	{ names_read_component_exports,
		BYTES("\6\0\3a:b\5\0\0"
		      "\1\1f\1\2\1\1\3"
		      "\0\1m\0\x11\0\1\0\x11\4"
		      "\2\1o\2\1\3.1x\2\0"
		      "\4\0\0"
		      "\0\1t\3\1\1\3\1"
		      "\0\1z\3\1\1\3\0\1"),
		".a:b .f .m .o .t .z " },
	{ names_read_component_exports, BYTES("\1\3\1x\5\0\0"), "" },
	{ names_read_component_exports, BYTES("\2\2\1x\xff\xff\xff\xff\x0f"), ".x " },
};

static void on_name(void *arg, const struct name *module, const struct name *name)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, TEXT_MAX - len, "%.*s.%.*s ", (int)module->len,
		module->text ? module->text : "", (int)name->len, name->text);
}

static void test_names(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[TEXT_MAX] = "";

		cases[i].read((const uint8_t *)cases[i].bytes, cases[i].len, on_name, text);
		assert_string_equal(text, cases[i].names);
	}
}

/* In memory of just that size, for the sanitizer to see what is read behind it. */
static void test_cut_off(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t len = 0; len < cases[i].len; len++) {
			uint8_t *bytes = malloc(len + !len);
			char text[TEXT_MAX] = "";

			assert_non_null(bytes);
			memcpy(bytes, cases[i].bytes, len);
			cases[i].read(bytes, len, on_name, text);
			assert_memory_equal(text, cases[i].names, strlen(text));
			free(bytes);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
