/* SPDX-License-Identifier: MIT */
/* The relay's figures. Only reads. */
#include "relay/relay.h"

#include "base/lang.h"
#include "base/prometheus.h"
#include "net/pump_metrics.h"
#include "relay/relay_internal.h"

static void metrics_write_limits(const struct relay *relay, const struct prometheus *p)
{
	const struct relay_config *config = &relay->config;
	const struct {
		const char *name; /* of a count: its option's, with '_' for '-' */
		uint64_t value;
	} limits[] = {
		{ "max_tunnels_per_addr", config->max_tunnels_per_addr },
		{ "max_pending", config->max_pending_per_tunnel },
		{ "max_pending_total", config->max_pending },
		{ "max_conns", config->max_conns_per_tunnel },
		{ "max_conns_total", config->max_conns },
		{ "max_handshakes", config->max_handshakes },
		{ "max_ready", config->max_ready_per_tunnel },
		{ "max_ready_total", relay->ready.max },
		{ "max_tunnel_age_ms", config->max_tunnel_age_ms },
		{ "half_close_timeout_ms", config->half_close_timeout_ms },
		{ "idle_timeout_ms", config->idle_timeout_ms },
		{ "penalty_addrs", LIMITS_PENALTY_ADDRS },
		{ "json_addrs", LIMITS_JSON_ADDRS },
	};

	prometheus_family(p, "limit", PROMETHEUS_GAUGE, "The limits in force.");
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		prometheus_sample(p, "limit", "name", limits[i].name, limits[i].value);
}

static void metrics_write_gauges(const struct relay *relay, const struct prometheus *p)
{
	const struct limits *limits = &relay->limits;

	prometheus_metric(p, "tunnels", PROMETHEUS_GAUGE, "Tunnels open.", relay->serving_count);
	prometheus_metric(p, "tunnels_paused", PROMETHEUS_GAUGE,
		"Tunnels that leave their visitors in the kernel's queue because of max-pending.",
		relay->paused_count);
	prometheus_metric(p, "tunnels_orphaned", PROMETHEUS_GAUGE,
		"Tunnels of the relay before whose client has not come back yet.",
		relay->orphan_count);
	prometheus_metric(p, "tunnel_addrs", PROMETHEUS_GAUGE, "Client addresses with a tunnel.",
		limits->tunnels.count);
	prometheus_metric(p, "handshakes_open", PROMETHEUS_GAUGE, "Handshakes under way.",
		relay->greeting_count);
	prometheus_metric(p, "visitors_pending", PROMETHEUS_GAUGE,
		"Visitors that wait to be claimed.", relay->pending.count);
	prometheus_metric(p, "visitors_open", PROMETHEUS_GAUGE,
		"Visitors joined with their client.", relay->streams.open_count);
	prometheus_metric(p, "ready_parked", PROMETHEUS_GAUGE,
		"Warm connections that wait for a visitor.", relay->ready.count);
	prometheus_metric(p, "penalties", PROMETHEUS_GAUGE, "Addresses remembered for bad secrets.",
		limits->penalties.count);
	prometheus_metric(p, "json_known", PROMETHEUS_GAUGE, "Addresses known to speak JSON.",
		limits->json.count);
	prometheus_metric(p, "draining", PROMETHEUS_GAUGE, "1 while the relay shuts down.",
		relay->phase >= RELAY_PHASE_DRAINING);
}

static void metrics_write_counters(const struct relay *relay, const struct prometheus *p)
{
	const struct relay_counts *counts = &relay->counts;

#define WRITE_COUNTER(name, help) \
	prometheus_metric(p, #name "_total", PROMETHEUS_COUNTER, help, counts->name);
	RELAY_COUNTERS(WRITE_COUNTER)
#undef WRITE_COUNTER
	prometheus_metric(p, "connections_shed_total", PROMETHEUS_COUNTER,
		"Connections closed for want of descriptors.", relay->reserve.shed_total);
}

static void metrics_write_streams(const struct relay *relay, const struct prometheus *p)
{
	struct pump_stats stats;

	pump_pool_stats(relay->pool, &stats);
	prometheus_metric(p, "streams_total", PROMETHEUS_COUNTER,
		"Visitors joined since the start.", stats.total);
	prometheus_family(p, "bytes_total", PROMETHEUS_COUNTER, "Bytes delivered.");
	prometheus_sample(p, "bytes_total", "from", "visitor", stats.bytes[PUMP_OUTER]);
	prometheus_sample(p, "bytes_total", "from", "client", stats.bytes[PUMP_INNER]);
	pump_write_metrics(&stats, p);
}

void relay_write_metrics(const struct relay *relay, FILE *out)
{
	const struct prometheus p = { .out = out, .prefix = "bore" };

	prometheus_build_info(&p);
	metrics_write_limits(relay, &p);
	metrics_write_gauges(relay, &p);
	metrics_write_counters(relay, &p);
	metrics_write_streams(relay, &p);
}
