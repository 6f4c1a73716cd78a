/* SPDX-License-Identifier: MIT */
/* Visitors by id: each is found once, and there is a limit. */
#include "relay/pending.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#define MAX 100

static void test_ids_are_good_once(void **state)
{
	struct pending_entry entries[MAX], more;
	struct uuid unknown, ids[MAX];
	struct pending p;

	assert_int_equal(pending_init(&p, MAX), 0);
	assert_int_equal(uuid_random(&unknown), 0);
	for (size_t i = 0; i < MAX; i++) {
		assert_int_equal(uuid_random(&entries[i].id), 0);
		assert_int_equal(pending_add(&p, &entries[i]), 0);
		ids[i] = entries[i].id;
	}
	assert_int_equal(uuid_random(&more.id), 0);
	assert_int_equal(pending_add(&p, &more), -ENOSPC);
	assert_null(pending_find(&p, &unknown));
	for (size_t i = 0; i < MAX; i++) {
		assert_ptr_equal(pending_find(&p, &ids[i]), &entries[i]);
		pending_remove(&p, &entries[i]);
		assert_null(pending_find(&p, &ids[i]));
	}
	assert_int_equal(p.count, 0);
	assert_int_equal(pending_add(&p, &more), 0);
	pending_remove(&p, &more);
	pending_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_are_good_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
