/* SPDX-License-Identifier: MIT */
#include "serve/navigation.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/lang.h"

#define FIREFOX "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
#define IMAGE "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"

static void test_navigation(void **state)
{
	static const struct {
		struct navigation n;
		bool is;
	} cases[] = {
		{ { "/users/7", FIREFOX, NULL }, true },
		{ { "/users/7", FIREFOX, "navigate" }, true },
		{ { "/users/john.doe", FIREFOX, NULL }, true },
		{ { "/users/", "application/json, TEXT/HTML ; q=0.5", NULL }, true },
		{ { "/old.html", FIREFOX, NULL }, true },
		{ { "/", NULL, "navigate" }, true },
		/* curl, and whoever says nothing. */
		{ { "/users/7", "*/*", NULL }, true },
		{ { "/users/7", NULL, NULL }, true },
		/* A page's own requests. */
		{ { "/users/7", "*/*", "cors" }, false },
		{ { "/users/7", FIREFOX, "no-cors" }, false },
		{ { "/users/7", NULL, "same-origin" }, false },
		{ { "/users/7", "application/json", NULL }, false },
		{ { "/users/7", "application/json, */*", NULL }, false },
		{ { "/logo", IMAGE, NULL }, false },
		{ { "/users/7", "", NULL }, false },
		{ { "/users/7", "text/html2, x-text/html", NULL }, false },
		/* An asset, whoever wants it. */
		{ { "/assets/app-1f3a.js", "*/*", NULL }, false },
		{ { "/assets/app-1f3a.js", FIREFOX, "navigate" }, false },
		{ { "/photo.PNG", NULL, NULL }, false },
		{ { "/v1.2/users", NULL, NULL }, true },
		{ { "/lib.js/users", FIREFOX, NULL }, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (navigation_is(&cases[i].n) != cases[i].is)
			fail_msg("'%s' (%s, %s)", cases[i].n.path,
				cases[i].n.accept ? cases[i].n.accept : "-",
				cases[i].n.fetch_mode ? cases[i].n.fetch_mode : "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_navigation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
