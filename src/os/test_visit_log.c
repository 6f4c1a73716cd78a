/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "os/visit_log.h"
#include "tunnel/tunnel.h"

static void add(struct visit_log *log, unsigned number)
{
	char id[16];

	(void)snprintf(id, sizeof(id), "%u", number);
	visit_log_add(
		log, &(struct tunnel_visit){
			     .id = id, .bytes_in = number, .duration_ms = 5, .why = "closed" });
}

static void test_newest_first(void **state)
{
	struct visit_log log;

	assert_int_equal(visit_log_init(&log), 0);
	assert_null(visit_log_get(&log, 0));
	add(&log, 1);
	add(&log, 2);
	assert_string_equal(visit_log_get(&log, 0)->id, "2");
	assert_string_equal(visit_log_get(&log, 1)->id, "1");
	assert_string_equal(visit_log_get(&log, 1)->why, "closed");
	assert_int_equal(visit_log_get(&log, 1)->bytes_in, 1);
	assert_null(visit_log_get(&log, 2));
	visit_log_deinit(&log);
}

static void test_oldest_make_room(void **state)
{
	struct visit_log log;

	assert_int_equal(visit_log_init(&log), 0);
	for (unsigned i = 1; i <= VISIT_LOG_MAX + 10; i++)
		add(&log, i);
	assert_int_equal(visit_log_get(&log, 0)->bytes_in, VISIT_LOG_MAX + 10);
	assert_int_equal(visit_log_get(&log, VISIT_LOG_MAX - 1)->bytes_in, 11);
	assert_null(visit_log_get(&log, VISIT_LOG_MAX));
	visit_log_deinit(&log);
}

static void test_long_reason(void **state)
{
	struct visit_log log;
	char why[300];

	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	assert_int_equal(visit_log_init(&log), 0);
	visit_log_add(&log, &(struct tunnel_visit){ .id = "1", .why = why });
	assert_int_equal(strlen(visit_log_get(&log, 0)->why), VISIT_WHY_MAX - 1);
	visit_log_deinit(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newest_first),
		cmocka_unit_test(test_oldest_make_room),
		cmocka_unit_test(test_long_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
