/* SPDX-License-Identifier: MIT */
/*
 * Figures in Prometheus' text format, 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). A family is a name with its help
 * and type, and then its samples. Names, labels and help are constants of ours: none of them needs
 * to be escaped. Errors stay in the stream, for whoever closes it.
 */
#ifndef BASE_PROMETHEUS_H
#define BASE_PROMETHEUS_H

#include <stdint.h>
#include <stdio.h>

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum prometheus_type { PROMETHEUS_GAUGE, PROMETHEUS_COUNTER };

/* All names begin with `prefix` and '_'. */
struct prometheus {
	FILE *out;
	const char *prefix;
};

/* The head of a family, whose samples follow. */
void prometheus_family(
	const struct prometheus *p, const char *name, enum prometheus_type type, const char *help);
void prometheus_sample(const struct prometheus *p, const char *name, const char *label,
	const char *label_value, uint64_t value);

/* A family of one sample without a label. */
void prometheus_metric(const struct prometheus *p, const char *name, enum prometheus_type type,
	const char *help, uint64_t value);

/* PREFIX_build_info{version="..."} 1 */
void prometheus_build_info(const struct prometheus *p);

#endif
