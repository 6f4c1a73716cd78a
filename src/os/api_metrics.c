/* SPDX-License-Identifier: MIT */
/* What machines ask for: figures for Prometheus, and whether we live. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prometheus.h"
#include "http/http_request.h"
#include "net/pump_metrics.h"
#include "net/pump_pool.h"
#include "os/api_internal.h"
#include "os/exposure.h"
#include "os/forward.h"
#include "os/log_ring.h"
#include "os/network.h"
#include "os/supervisor.h"

static void metrics_add_forward(void *owner, const struct forward_status *forward)
{
	struct forward_status *sum = owner;

	sum->conns_open += forward->conns_open;
	sum->conns_total += forward->conns_total;
	sum->bytes_in += forward->bytes_in;
	sum->bytes_out += forward->bytes_out;
}

/* Of those that there are now: with a forward its figures go, which Prometheus takes for a reset.
 */
static void metrics_write_forwards(struct api *api, const struct prometheus *p)
{
	struct forward_status sum = { 0 };

	forwards_each(api->config.forwards, metrics_add_forward, &sum);
	prometheus_metric(p, "forward_connections", PROMETHEUS_GAUGE,
		"Open connections of forwards.", sum.conns_open);
	prometheus_metric(p, "forward_connections_total", PROMETHEUS_COUNTER,
		"Connections of forwards.", sum.conns_total);
	prometheus_metric(p, "forward_bytes_in_total", PROMETHEUS_COUNTER,
		"Bytes from visitors of forwards.", sum.bytes_in);
	prometheus_metric(p, "forward_bytes_out_total", PROMETHEUS_COUNTER,
		"Bytes to visitors of forwards.", sum.bytes_out);
}

static void metrics_write(struct api *api, FILE *out)
{
	const struct prometheus p = { .out = out, .prefix = "wasmrun" };
	const struct network_counts network = network_counts(api->config.network);
	struct exposure_status exposure;
	const struct tunnel_status *tunnel = &exposure.tunnel;
	struct pump_stats pumps;
	struct supervisor_status app;

	exposure_status(api->config.exposure, &exposure);
	supervisor_status(api->config.supervisor, &app);
	prometheus_build_info(&p);
	prometheus_metric(&p, "app_up", PROMETHEUS_GAUGE,
		"Whether the application takes connections.", app.state == SUPERVISOR_RUNNING);
	prometheus_metric(&p, "app_restarts_total", PROMETHEUS_COUNTER, "Restarts after crashes.",
		app.restarts);
	prometheus_metric(&p, "app_memory_bytes", PROMETHEUS_GAUGE,
		"Resident memory of the application.", app.memory_bytes);
	prometheus_metric(&p, "tunnel_up", PROMETHEUS_GAUGE, "Whether the tunnel is connected.",
		tunnel->state == TUNNEL_CONNECTED);
	prometheus_metric(&p, "tunnel_reconnects_total", PROMETHEUS_COUNTER,
		"Connections to the relay made again after a loss.", tunnel->reconnects);
	prometheus_metric(&p, "connections", PROMETHEUS_GAUGE, "Open connections of visitors.",
		tunnel->conns_open);
	prometheus_metric(&p, "connections_total", PROMETHEUS_COUNTER, "Connections of visitors.",
		tunnel->conns_total);
	prometheus_metric(&p, "visitors_turned_away_total", PROMETHEUS_COUNTER,
		"Visitors that never reached the application.", tunnel->turned_away);
	prometheus_metric(
		&p, "bytes_in_total", PROMETHEUS_COUNTER, "Bytes from visitors.", tunnel->bytes_in);
	prometheus_metric(
		&p, "bytes_out_total", PROMETHEUS_COUNTER, "Bytes to visitors.", tunnel->bytes_out);
	metrics_write_forwards(api, &p);
	prometheus_metric(&p, "log_lines_total", PROMETHEUS_COUNTER,
		"Lines logged by the application.", log_ring_next(api->config.ring) - 1);
	prometheus_metric(&p, "network_allowed_total", PROMETHEUS_COUNTER,
		"Wishes of the application's to connect that were allowed.", network.allowed);
	prometheus_metric(&p, "network_refused_total", PROMETHEUS_COUNTER,
		"Those that were refused.", network.refused);
	prometheus_metric(&p, "network_policy_changes_total", PROMETHEUS_COUNTER,
		"Network policies that have held, the first one included.", network.changes);
	prometheus_metric(
		&p, "event_readers", PROMETHEUS_GAUGE, "Readers of /api/events.", api->hub.count);
	exposure_pump_stats(api->config.exposure, &pumps);
	pump_write_metrics(&pumps, &p);
}

void api_get_metrics(void *owner, struct http_request *request)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out)
		metrics_write(owner, out);
	if (out && fclose(out) == 0)
		http_reply_bytes(request, 200, PROMETHEUS_TYPE, text, len);
	else
		http_reply_error(request, 500, "out of memory");
	free(text);
}

void api_get_healthz(void *owner, struct http_request *request)
{
	http_reply_bytes(request, 200, "text/plain; charset=utf-8", "ok\n", strlen("ok\n"));
}
