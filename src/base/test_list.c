/* SPDX-License-Identifier: MIT */
/* The intrusive list. */
#include "base/lang.h"
#include "base/list.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

struct item {
	int number;
	struct list link;
};

static int digits(const struct list *head)
{
	int value = 0;

	list_for_each(at, (struct list *)head)
		value = value * 10 + list_entry(at, struct item, link)->number;
	return value;
}

static void test_push_and_remove(void **state)
{
	struct item items[] = { { .number = 1 }, { .number = 2 }, { .number = 3 } };
	struct list head;

	list_init(&head);
	assert_true(list_empty(&head));
	assert_null(list_first(&head));
	list_push_back(&head, &items[1].link);
	list_push_back(&head, &items[2].link);
	list_push_front(&head, &items[0].link);
	assert_int_equal(digits(&head), 123);
	assert_ptr_equal(list_first(&head), &items[0].link);

	list_remove(&items[1].link);
	list_remove(&items[1].link);
	assert_true(list_empty(&items[1].link));
	assert_int_equal(digits(&head), 13);
}

static void test_safe_loop_survives_removal(void **state)
{
	struct item items[] = { { .number = 1 }, { .number = 2 }, { .number = 3 } };
	struct list head;
	int seen = 0;

	list_init(&head);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		list_push_back(&head, &items[i].link);
	list_for_each_safe(at, &head) {
		seen++;
		if (list_entry(at, struct item, link)->number != 2)
			list_remove(at);
	}
	assert_int_equal(seen, 3);
	assert_int_equal(digits(&head), 2);
}

static void test_move_all(void **state)
{
	struct item items[] = { { .number = 1 }, { .number = 2 }, { .number = 3 } };
	struct list to, from;

	list_init(&to);
	list_init(&from);
	list_move_all(&to, &from);
	assert_true(list_empty(&to));
	list_push_back(&to, &items[0].link);
	list_push_back(&from, &items[1].link);
	list_push_back(&from, &items[2].link);
	list_move_all(&to, &from);
	assert_int_equal(digits(&to), 123);
	assert_true(list_empty(&from));
	list_remove(&items[2].link);
	assert_int_equal(digits(&to), 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_and_remove),
		cmocka_unit_test(test_safe_loop_survives_removal),
		cmocka_unit_test(test_move_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
