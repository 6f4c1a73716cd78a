/* SPDX-License-Identifier: MIT */
/* The format to the letter: a scraper drops a document for one wrong line. */
#include "base/prometheus.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

static void test_document(void **state)
{
	char *text = NULL;
	size_t len = 0;
	const struct prometheus p = { .out = open_memstream(&text, &len), .prefix = "bore" };

	assert_non_null(p.out);
	prometheus_metric(&p, "tunnels", PROMETHEUS_GAUGE, "Open tunnels.", 3);
	prometheus_family(&p, "bytes_total", PROMETHEUS_COUNTER, "Bytes.");
	prometheus_sample(&p, "bytes_total", "from", "visitor", UINT64_MAX);
	prometheus_sample(&p, "bytes_total", "from", "client", 0);
	prometheus_build_info(&p);
	assert_int_equal(fclose(p.out), 0);
	assert_string_equal(text, "# HELP bore_tunnels Open tunnels.\n"
				  "# TYPE bore_tunnels gauge\n"
				  "bore_tunnels 3\n"
				  "# HELP bore_bytes_total Bytes.\n"
				  "# TYPE bore_bytes_total counter\n"
				  "bore_bytes_total{from=\"visitor\"} 18446744073709551615\n"
				  "bore_bytes_total{from=\"client\"} 0\n"
				  "# HELP bore_build_info The version of this program.\n"
				  "# TYPE bore_build_info gauge\n"
				  "bore_build_info{version=\"" WASMRUN_VERSION "\"} 1\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_document) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
