/* SPDX-License-Identifier: MIT */
/* What every program that forwards connections tells of how it does so. */
#ifndef NET_PUMP_METRICS_H
#define NET_PUMP_METRICS_H

struct prometheus;
struct pump_stats;

/* spliced_bytes_total, held_bytes, pipes{size}, pipe_pages_limit, pipes_denied_total */
void pump_write_metrics(const struct pump_stats *stats, const struct prometheus *p);

#endif
