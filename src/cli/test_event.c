/* SPDX-License-Identifier: MIT */
/* Events are single lines of JSON on standard output. */
#include "cli/event.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Standard output goes to a file while events are written. Returns its length. */
static size_t capture(char *text, size_t size, const char *bad)
{
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t len;

	assert_non_null(file);
	fflush(stdout);
	assert_int_equal(dup2(fileno(file), STDOUT_FILENO), STDOUT_FILENO);
	event_write("draining", NULL);
	event_write("visitor_closed", "{s:s, s:I, s:s?}", "id", "a\"b\n", "bytes_in",
		(json_int_t)INT64_C(1) << 40, "why", NULL);
	event_write("state", "{s:s}", "cause", bad);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	len = fread(text, 1, size - 1, file);
	text[len] = '\0';
	fclose(file);
	return len;
}

static void test_lines(void **state)
{
	char text[1024], *second, *end;
	json_t *event;

	log_set_level(LOG_LEVEL_ERROR);
	/* What is not UTF-8 can't be JSON: the third event is left out. */
	assert_true(capture(text, sizeof text, "\xff") > 0);
	second = strchr(text, '\n') + 1;
	end = strchr(second, '\n') + 1;
	assert_int_equal(*end, '\0');

	event = json_loadb(text, (size_t)(second - text), 0, NULL);
	assert_non_null(event);
	assert_string_equal(json_string_value(json_object_get(event, "event")), "draining");
	assert_true(json_integer_value(json_object_get(event, "time")) > INT64_C(1600000000000));
	json_decref(event);

	event = json_loadb(second, (size_t)(end - second), 0, NULL);
	assert_non_null(event);
	assert_string_equal(json_string_value(json_object_get(event, "id")), "a\"b\n");
	assert_int_equal(json_integer_value(json_object_get(event, "bytes_in")), INT64_C(1) << 40);
	assert_true(json_is_null(json_object_get(event, "why")));
	json_decref(event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
