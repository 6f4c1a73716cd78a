/* SPDX-License-Identifier: MIT */
#include "base/prometheus.h"

#include <inttypes.h>

void prometheus_family(
	const struct prometheus *p, const char *name, enum prometheus_type type, const char *help)
{
	static const char *const types[] = {
		[PROMETHEUS_GAUGE] = "gauge",
		[PROMETHEUS_COUNTER] = "counter",
	};

	(void)fprintf(p->out, "# HELP %s_%s %s\n# TYPE %s_%s %s\n", p->prefix, name, help,
		p->prefix, name, types[type]);
}

void prometheus_sample(const struct prometheus *p, const char *name, const char *label,
	const char *label_value, uint64_t value)
{
	(void)fprintf(p->out, "%s_%s{%s=\"%s\"} %" PRIu64 "\n", p->prefix, name, label, label_value,
		value);
}

void prometheus_metric(const struct prometheus *p, const char *name, enum prometheus_type type,
	const char *help, uint64_t value)
{
	prometheus_family(p, name, type, help);
	(void)fprintf(p->out, "%s_%s %" PRIu64 "\n", p->prefix, name, value);
}

void prometheus_build_info(const struct prometheus *p)
{
	prometheus_family(p, "build_info", PROMETHEUS_GAUGE, "The version of this program.");
	prometheus_sample(p, "build_info", "version", WASMRUN_VERSION, 1);
}
