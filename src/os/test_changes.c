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

/* As the watch does it: what has changed is told, and the build begins. Whether it does. */
static bool build_again(struct changes *c)
{
	if (!changes_any(c))
		return false;
	changes_forget(c);
	changes_build_began(c);
	return true;
}

/* A build that took away its last file and made one of a new name each time was begun for ever. */
static void test_new_names(void **state)
{
	struct changes c = { 0 };
	uint64_t name = 100;
	unsigned builds, said = 0;

	for (unsigned round = 0; round < 3; round++) {
		(void)changes_note(&c, SOURCE, CHANGE_WRITTEN);
		for (builds = 0; build_again(&c); builds++) {
			said += changes_circle(&c);
			(void)changes_note(&c, name++, CHANGE_GONE);
			(void)changes_note(&c, name, CHANGE_MADE);
			(void)changes_note(&c, name, CHANGE_WRITTEN);
			changes_build_ended(&c);
		}
		/* It is learned once. */
		assert_int_equal(builds, round ? 1 : 1 + CHANGES_CIRCLES / CHANGES_CIRCLE_WEIGHT);
	}
	assert_int_equal(said, 1);
	/* Who saves a file meanwhile, in place or by a new one, is still heard. */
	(void)changes_note(&c, SOURCE, CHANGE_WRITTEN);
	assert_true(build_again(&c));
	(void)changes_note(&c, SOURCE, CHANGE_WRITTEN);
	changes_build_ended(&c);
	assert_true(build_again(&c));
	(void)changes_note(&c, OUTPUT, CHANGE_GONE);
	(void)changes_note(&c, OUTPUT, CHANGE_MADE);
	changes_build_ended(&c);
	assert_true(build_again(&c));
	changes_build_ended(&c);
	assert_false(build_again(&c));
}

/* New names that are moved there look like files that are saved. */
static void test_moved_names(void **state)
{
	struct changes c = { 0 };
	uint64_t name = 100;
	unsigned builds;

	for (unsigned round = 0; round < 3; round++) {
		(void)changes_note(&c, SOURCE, CHANGE_WRITTEN);
		for (builds = 0; build_again(&c); builds++) {
			(void)changes_circle(&c);
			(void)changes_note(&c, name++, CHANGE_WRITTEN);
			changes_build_ended(&c);
		}
		assert_int_equal(builds, 1 + CHANGES_CIRCLES / (round ? CHANGES_CIRCLE_WEIGHT : 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_temporary),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_new_names),
		cmocka_unit_test(test_moved_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
