/* SPDX-License-Identifier: MIT */
/* What counts as a change: each test is a short story of builds and files. */
#include "os/changes.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define SOURCE 1
#define OUTPUT 2

static void build(struct changes *c, uint64_t writes)
{
	changes_build_began(c);
	assert_false(changes_any(c));
	if (writes)
		(void)changes_note(c, writes, CHANGE_WRITTEN);
	changes_build_ended(c);
}

static void test_simple(void **state)
{
	struct changes c = { 0 };

	assert_false(changes_any(&c));
	assert_false(changes_note(&c, SOURCE, CHANGE_WRITTEN));
	assert_false(changes_note(&c, SOURCE, CHANGE_WRITTEN));
	assert_true(changes_any(&c));
	changes_forget(&c);
	assert_false(changes_any(&c));
	(void)changes_note(&c, SOURCE, CHANGE_GONE);
	assert_true(changes_any(&c));
	build(&c, 0);
	assert_false(changes_any(&c));
}

/* What a program makes and takes away again was never there. */
static void test_temporary(void **state)
{
	struct changes c = { 0 };

	(void)changes_note(&c, OUTPUT, CHANGE_MADE);
	(void)changes_note(&c, OUTPUT, CHANGE_WRITTEN);
	assert_true(changes_any(&c));
	(void)changes_note(&c, OUTPUT, CHANGE_GONE);
	assert_false(changes_any(&c));
	/* One that was there before is missed. */
	(void)changes_note(&c, SOURCE, CHANGE_WRITTEN);
	(void)changes_note(&c, SOURCE, CHANGE_GONE);
	assert_true(changes_any(&c));
}

/* The build's own files start two more builds, once. */
static void test_output(void **state)
{
	struct changes c = { 0 };

	for (unsigned i = 1; i < CHANGES_STRIKES; i++) {
		build(&c, OUTPUT);
		assert_true(changes_any(&c));
	}
	changes_build_began(&c);
	assert_true(changes_note(&c, OUTPUT, CHANGE_WRITTEN));
	assert_false(changes_note(&c, OUTPUT, CHANGE_WRITTEN));
	assert_false(changes_any(&c));
	/* Somebody edits meanwhile: that counts. */
	(void)changes_note(&c, SOURCE, CHANGE_WRITTEN);
	assert_true(changes_any(&c));
	changes_build_ended(&c);
	build(&c, OUTPUT);
	assert_false(changes_any(&c));
	/* Between two builds it may be anyone. */
	(void)changes_note(&c, OUTPUT, CHANGE_WRITTEN);
	assert_true(changes_any(&c));
	build(&c, OUTPUT);
	assert_false(changes_any(&c));
	/* A build that leaves it alone ends the row. */
	build(&c, 0);
	build(&c, OUTPUT);
	assert_true(changes_any(&c));
}

/* More files than there is room for are a change, too, and a build may always write so many. */
static void test_many(void **state)
{
	struct changes c = { 0 };

	for (unsigned round = 1; round <= CHANGES_STRIKES; round++) {
		changes_build_began(&c);
		for (uint64_t hash = 1; hash <= 2 * CHANGES_FILES_MAX; hash++)
			(void)changes_note(&c, hash, CHANGE_MADE);
		assert_int_equal(changes_any(&c), round < CHANGES_STRIKES);
		changes_build_ended(&c);
	}
	(void)changes_note(&c, 0, CHANGE_WRITTEN);
	assert_true(changes_any(&c));
	changes_forget(&c);
	assert_false(changes_any(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_temporary),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
