/* SPDX-License-Identifier: MIT */
/* What machines look at: Prometheus' text format 0.0.4, and a word for those that only ask. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "http/request.h"
#include "os/api_internal.h"
#include "os/exposure.h"
#include "os/log_ring.h"
#include "os/supervisor.h"

#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

static void metrics_write(struct api *api, FILE *out)
{
	struct exposure_status exposure;
	const struct tunnel_status *tunnel = &exposure.tunnel;
	struct supervisor_status app;

	exposure_status(api->config.exposure, &exposure);
	supervisor_status(api->config.supervisor, &app);

	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} metrics[] = {
		{ "wasmrun_app_up", "gauge", "Whether the application takes connections.",
			app.state == SUPERVISOR_RUNNING },
		{ "wasmrun_app_restarts_total", "counter", "Restarts after crashes.",
			app.restarts },
		{ "wasmrun_app_memory_bytes", "gauge", "Resident memory of the application.",
			app.memory_bytes },
		{ "wasmrun_tunnel_up", "gauge", "Whether the tunnel is connected.",
			tunnel->state == TUNNEL_CONNECTED },
		{ "wasmrun_tunnel_reconnects_total", "counter",
			"Connections to the relay made again after a loss.", tunnel->reconnects },
		{ "wasmrun_connections", "gauge", "Open connections of visitors.",
			tunnel->conns_open },
		{ "wasmrun_connections_total", "counter", "Connections of visitors.",
			tunnel->conns_total },
		{ "wasmrun_bytes_in_total", "counter", "Bytes from visitors.", tunnel->bytes_in },
		{ "wasmrun_bytes_out_total", "counter", "Bytes to visitors.", tunnel->bytes_out },
		{ "wasmrun_log_lines_total", "counter", "Lines logged by the application.",
			log_ring_next(api->config.ring) - 1 },
		{ "wasmrun_event_readers", "gauge", "Readers of /api/events.", api->hub.count },
	};

	fputs("# HELP wasmrun_build_info The version of this program.\n"
	      "# TYPE wasmrun_build_info gauge\n"
	      "wasmrun_build_info{version=\"" WASMRUN_VERSION "\"} 1\n",
		out);
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
		fprintf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", metrics[i].name,
			metrics[i].help, metrics[i].name, metrics[i].type, metrics[i].name,
			metrics[i].value);
}

void api_get_metrics(void *owner, struct http_request *request)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out)
		metrics_write(owner, out);
	if (out && fclose(out) == 0)
		http_reply_bytes(request, 200, TYPE_METRICS, text, len);
	else
		http_reply_error(request, 500, "out of memory");
	free(text);
}

void api_get_healthz(void *owner, struct http_request *request)
{
	http_reply_bytes(request, 200, "text/plain; charset=utf-8", "ok\n", strlen("ok\n"));
}
