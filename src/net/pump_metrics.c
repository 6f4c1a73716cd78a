/* SPDX-License-Identifier: MIT */
#include "net/pump_metrics.h"

#include "base/prometheus.h"
#include "net/pump_pool.h"

void pump_write_metrics(const struct pump_stats *stats, const struct prometheus *p)
{
	prometheus_metric(p, "spliced_bytes_total", PROMETHEUS_COUNTER,
		"Bytes delivered by splice(2).", stats->spliced_bytes);
	prometheus_metric(p, "held_bytes", PROMETHEUS_GAUGE,
		"Bytes of slow readers held in memory.", stats->held_bytes);
	prometheus_family(p, "pipes", PROMETHEUS_GAUGE, "Pipes in use.");
	prometheus_sample(p, "pipes", "size", "large", stats->pipes_large);
	prometheus_sample(p, "pipes", "size", "small", stats->pipes_small);
	prometheus_metric(p, "pipe_pages_limit", PROMETHEUS_GAUGE, "Budget of pages for pipes.",
		stats->pipes_limit);
	prometheus_metric(p, "pipes_denied_total", PROMETHEUS_COUNTER,
		"Times that a pipe was wanted and not to be had.", stats->pipes_denied);
}
