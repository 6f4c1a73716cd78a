/* SPDX-License-Identifier: MIT */
/* The relay's figures in Prometheus' text format, 0.0.4. Only reads. */
#include "relay/relay.h"

#include <inttypes.h>
#include "base/err.h"
#include "relay/internal.h"

static void write_metric(
	FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	(void)fprintf(out, "# HELP bore_%s %s\n# TYPE bore_%s %s\nbore_%s %" PRIu64 "\n", name,
		help, name, type, name, value);
}

static void write_build_info(FILE *out)
{
	(void)fputs("# HELP bore_build_info the version of this program\n"
		    "# TYPE bore_build_info gauge\n"
		    "bore_build_info{version=\"" WASMRUN_VERSION "\"} 1\n",
		out);
}

static void write_limits(const struct relay_config *config, FILE *out)
{
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
		{ "half_close_timeout_ms", config->half_close_timeout_ms },
		{ "idle_timeout_ms", config->idle_timeout_ms },
		{ "penalty_addrs", LIMITS_PENALTY_ADDRS },
		{ "json_addrs", LIMITS_JSON_ADDRS },
	};

	(void)fputs("# HELP bore_limit the limits in force\n# TYPE bore_limit gauge\n", out);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		(void)fprintf(out, "bore_limit{name=\"%s\"} %" PRIu64 "\n", limits[i].name,
			limits[i].value);
}

static void write_gauges(const struct relay *relay, FILE *out)
{
	const struct limits *limits = &relay->limits;

	write_metric(out, "tunnels", "gauge", "tunnels open", relay->serving_count);
	write_metric(out, "tunnels_paused", "gauge",
		"tunnels that leave their visitors in the kernel's queue because of max-pending",
		relay->paused_count);
	write_metric(out, "tunnel_addrs", "gauge", "client addresses with a tunnel",
		limits->tunnels.count);
	write_metric(
		out, "handshakes_open", "gauge", "handshakes under way", relay->greeting_count);
	write_metric(out, "visitors_pending", "gauge", "visitors that wait to be claimed",
		relay->pending.count);
	write_metric(out, "visitors_open", "gauge", "visitors joined with their client",
		relay->joined_count);
	write_metric(out, "penalties", "gauge", "addresses remembered for bad secrets",
		limits->penalties.count);
	write_metric(
		out, "json_known", "gauge", "addresses known to speak JSON", limits->json.count);
	write_metric(out, "draining", "gauge", "1 while the relay shuts down",
		relay->phase >= RELAY_PHASE_DRAINING);
}

static void write_counters(const struct relay *relay, FILE *out)
{
	const struct relay_counts *counts = &relay->counts;

#define WRITE_COUNTER(name, help) write_metric(out, #name "_total", "counter", help, counts->name);
	RELAY_COUNTERS(WRITE_COUNTER)
#undef WRITE_COUNTER
	write_metric(out, "connections_shed_total", "counter",
		"connections closed for want of descriptors", relay->reserve.shed_total);
}

static void write_streams(const struct relay *relay, FILE *out)
{
	struct pump_stats stats;

	pump_pool_stats(relay->pool, &stats);
	write_metric(
		out, "streams_total", "counter", "visitors joined since the start", stats.total);
	(void)fprintf(out,
		"# HELP bore_bytes_total bytes delivered\n# TYPE bore_bytes_total counter\n"
		"bore_bytes_total{from=\"visitor\"} %" PRIu64
		"\nbore_bytes_total{from=\"client\"} %" PRIu64 "\n",
		stats.bytes[PUMP_OUTER], stats.bytes[PUMP_INNER]);
	write_metric(
		out, "spliced_bytes_total", "counter", "of them by splice", stats.spliced_bytes);
	write_metric(out, "held_bytes", "gauge", "bytes of slow readers held in memory",
		stats.held_bytes);
	(void)fprintf(out,
		"# HELP bore_pipes pipes in use\n# TYPE bore_pipes gauge\n"
		"bore_pipes{size=\"large\"} %" PRIu64 "\nbore_pipes{size=\"small\"} %" PRIu64 "\n",
		stats.pipes_large, stats.pipes_small);
	write_metric(
		out, "pipe_pages_limit", "gauge", "budget of pages for pipes", stats.pipes_limit);
	write_metric(out, "pipes_denied_total", "counter",
		"times that a pipe was wanted and not to be had", stats.pipes_denied);
}

void relay_write_metrics(const struct relay *relay, FILE *out)
{
	write_build_info(out);
	write_limits(&relay->config, out);
	write_gauges(relay, out);
	write_counters(relay, out);
	write_streams(relay, out);
}
