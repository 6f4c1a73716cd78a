/* SPDX-License-Identifier: MIT */
/*
 * `bore local`: one tunnel, from the options to the exit code. It prints the address when there is
 * one, and again when another public port had to be taken.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/log.h"
#include "base/prometheus.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/event.h"
#include "cli/notify.h"
#include "cli/runtime.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "net/host.h"
#include "net/pump_metrics.h"
#include "net/pump_pool.h"
#include "proto/handshake.h"
#include "tunnel/tunnel.h"

struct local_values {
	struct common_values common;
	const char *local_host, *tls_ca, *to;
	uint64_t local_port, port, control_port;
	uint64_t protocol; /* enum tunnel_protocol */
	uint64_t reconnect_timeout_ms;
	bool no_reconnect, retry;
};

static_assert(offsetof(struct local_values, common) == 0, "the shared entries' offsets");

static const struct option_def local_options[] = {
	{ .name = "LOCAL_PORT",
		.type = OPTION_NUMBER,
		.positional = true,
		.required = true,
		.min = 1,
		.max = UINT16_MAX,
		.env = "BORE_LOCAL_PORT",
		.help = "The local port to expose",
		.offset = offsetof(struct local_values, local_port) },
	{ .name = "control-port",
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.min = 1,
		.max = UINT16_MAX,
		.fallback = TEXT_OF(CONTROL_PORT),
		.help = "Control port of the remote server, where --to names none",
		.offset = offsetof(struct local_values, control_port) },
	COMMON_DATA_PATH,
	COMMON_GRACE("5s"),
	COMMON_HALF_CLOSE_TIMEOUT,
	COMMON_HELP,
	COMMON_IDLE_TIMEOUT,
	COMMON_JSON,
	{ .name = "local-host",
		.letter = 'l',
		.type = OPTION_TEXT,
		.value_name = "HOST",
		.fallback = "localhost",
		.check = host_check,
		.form = HOST_ALONE,
		.help = "The local host to expose",
		.offset = offsetof(struct local_values, local_host) },
	COMMON_METRICS,
	{ .name = "no-reconnect",
		.type = OPTION_FLAG,
		.help = "Exit when the connection to the remote server is lost",
		.offset = offsetof(struct local_values, no_reconnect) },
	{ .name = "port",
		.letter = 'p',
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.max = UINT16_MAX,
		.fallback = "0",
		.help = "Optional port on the remote server to select; 0 leaves the choice to it",
		.offset = offsetof(struct local_values, port) },
	{ .name = "protocol",
		.type = OPTION_CHOICE,
		.value_name = "PROTOCOL",
		.choices = tunnel_protocol_names,
		.fallback = "auto",
		.help = "Dialect to speak: that of bore, or the older line dialect, which sends "
			"the secret in clear; auto is bore, and line where that is not understood "
			"and "
			"there is no secret",
		.offset = offsetof(struct local_values, protocol) },
	COMMON_QUIET,
	{ .name = "reconnect-timeout",
		.type = OPTION_DURATION,
		.value_name = "DURATION",
		.fallback = "1h",
		.max = COMMON_DURATION_MAX,
		.help = "Give up after so long without the remote server",
		.offset = offsetof(struct local_values, reconnect_timeout_ms) },
	{ .name = "retry",
		.type = OPTION_FLAG,
		.help = "Go on trying when the first attempt fails, too",
		.offset = offsetof(struct local_values, retry) },
	COMMON_SECRET,
	COMMON_SECRET_FILE,
	{ .name = "tls-ca",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.help = "For --to https://: trust the CA certificates in this file (PEM), in place "
			"of "
			"the system's",
		.offset = offsetof(struct local_values, tls_ca) },
	{ .name = "to",
		.letter = 't',
		.type = OPTION_TEXT,
		.value_name = "HOST[:PORT]",
		.required = true,
		.env = "BORE_SERVER",
		.check = host_check,
		.form = HOST_RELAY,
		.help = "Address of the remote server to expose local ports to; an IPv6 address "
			"with a port stands in brackets; or the URL of an HTTP front before it, "
			"http://HOST[:PORT][/PATH] or https://",
		.offset = offsetof(struct local_values, to) },
	COMMON_VERBOSE,
	COMMON_WORKERS,
};

const struct option_table local_table = {
	.program = "bore",
	.command = "local",
	.summary = "Starts a local proxy to the remote server",
	.defs = local_options,
	.count = ARRAY_LEN(local_options),
};

struct local {
	struct runtime runtime;
	struct local_values values;
	struct tunnel *tunnel;
	struct host relay, target; /* of --to, with its port complete, and of --local-host */
	uint16_t shown_port;       /* public, 0: none was shown yet */
	bool closing;
	int code; /* enum exit_code */
};

static void local_on_tunnel_closed(void *owner)
{
	struct local *l = owner;

	l->tunnel = NULL;
	runtime_close(&l->runtime);
}

static void local_close(void *owner)
{
	struct local *l = owner;

	if (l->closing)
		return;
	l->closing = true;
	tunnel_close(l->tunnel, local_on_tunnel_closed, l);
}

/* Ctrl-C at a terminal means now; a service manager's SIGTERM lets open connections finish. */
static void local_on_end(void *owner, enum runtime_signal signal)
{
	struct local *l = owner;

	(void)notify_send(NOTIFY_STOPPING);
	if (signal == RUNTIME_INT)
		local_close(l);
	else if (!l->closing)
		tunnel_drain(l->tunnel, l->values.common.grace_ms, local_close, l);
}

static void local_on_hup(void *owner)
{
	struct local *l = owner;

	if (!l->closing)
		tunnel_hurry(l->tunnel);
}

static void local_on_write_metrics(void *owner, FILE *out)
{
	const struct prometheus p = { .out = out, .prefix = "bore" };
	struct local *l = owner;
	struct tunnel_status status;
	struct pump_stats pumps;

	if (l->closing)
		return;
	tunnel_status(l->tunnel, &status);
	pump_pool_stats(l->runtime.pool, &pumps);
	prometheus_build_info(&p);
	prometheus_metric(&p, "tunnel_up", PROMETHEUS_GAUGE, "Whether the tunnel is connected.",
		status.state == TUNNEL_CONNECTED);
	prometheus_metric(&p, "tunnel_reconnects_total", PROMETHEUS_COUNTER,
		"Connections made again after a loss.", status.reconnects);
	prometheus_metric(&p, "connections", PROMETHEUS_GAUGE, "Open connections of visitors.",
		status.conns_open);
	prometheus_metric(&p, "connections_total", PROMETHEUS_COUNTER,
		"Connections of visitors since the start.", status.conns_total);
	prometheus_metric(&p, "visitors_turned_away_total", PROMETHEUS_COUNTER,
		"Visitors that never reached the application.", status.turned_away);
	prometheus_family(
		&p, "bytes_total", PROMETHEUS_COUNTER, "Bytes from (in) and to (out) visitors.");
	prometheus_sample(&p, "bytes_total", "direction", "in", status.bytes_in);
	prometheus_sample(&p, "bytes_total", "direction", "out", status.bytes_out);
	pump_write_metrics(&pumps, &p);
}

/* The line that scripts look for, on standard output. */
static void local_show_address(struct local *l, uint16_t port)
{
	bool first = !l->shown_port;
	char text[HOST_TEXT_MAX];

	if (port == l->shown_port)
		return;
	l->shown_port = port;
	if (l->values.common.json)
		event_write("listening", "{s:s, s:i}", "host", l->relay.name, "port", (int)port);
	else
		printf("listening at %s\n", host_format(l->relay.name, port, text));
	if (!first)
		return;
	log_info("local", "anyone who knows this address can reach %s:%" PRIu64 ", without TLS",
		l->values.local_host, l->values.local_port);
	(void)notify_send(NOTIFY_READY);
}

static void local_on_state(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	struct local *l = owner;
	struct tunnel_status status;

	tunnel_status(l->tunnel, &status);
	if (l->values.common.json && old != new_state)
		event_write("state", "{s:s, s:s, s:s?}", "from", tunnel_state_name(old), "to",
			tunnel_state_name(new_state), "cause", cause);
	if (new_state == TUNNEL_CONNECTED)
		local_show_address(l, status.public_port);
	if (new_state != TUNNEL_FAILED || l->closing)
		return;
	l->code = common_exit_code(status.failure);
	log_error("local", "%s", status.error ? status.error : cause);
	if (l->values.common.json)
		event_write("failed", "{s:i, s:s?}", "code", l->code, "error", status.error);
	local_close(l);
}

static void local_on_visit(void *owner, const struct tunnel_visit *visit)
{
	struct local *l = owner;

	if (!l->values.common.json)
		return;
	if (visit->opened)
		event_write("visitor_opened", "{s:s, s:s?}", "id", visit->id, "from", visit->from);
	else if (visit->turned_away)
		event_write("visitor_closed", "{s:s, s:s?, s:I, s:I, s:I, s:s?, s:I}", "id",
			visit->id, "from", visit->from, "bytes_in", (json_int_t)0, "bytes_out",
			(json_int_t)0, "duration_ms", (json_int_t)visit->duration_ms, "why",
			visit->why, "turned_away", (json_int_t)visit->turned_away);
	else
		event_write("visitor_closed", "{s:s, s:s?, s:I, s:I, s:I, s:s?}", "id", visit->id,
			"from", visit->from, "bytes_in", (json_int_t)visit->bytes_in, "bytes_out",
			(json_int_t)visit->bytes_out, "duration_ms", (json_int_t)visit->duration_ms,
			"why", visit->why);
}

/* The relay's port comes from --to or --control-port. An enum exit_code. */
static int local_find_hosts(struct local *l, struct option_set *set)
{
	const struct local_values *v = &l->values;
	uint16_t named;

	l->target = host_of(HOST_ALONE, v->local_host);
	l->relay = host_of(HOST_RELAY, v->to);
	named = l->relay.port;
	if (named && option_set_source(set, "control-port") == OPTION_FROM_ARG &&
		named != v->control_port) {
		option_set_fail(set,
			"'--to' names port %u and '--control-port' names %" PRIu64 ": give one",
			named, v->control_port);
		return usage_error(set);
	}
	if (!named)
		l->relay.port = (uint16_t)v->control_port;
	return EXIT_CODE_OK;
}

static int local_open_tunnel(struct local *l)
{
	const struct local_values *v = &l->values;
	const struct tunnel_config config = {
		.relay = l->relay,
		.tls_ca = v->tls_ca,
		.local_host = l->target.name,
		.local_port = (uint16_t)v->local_port,
		.port = (uint16_t)v->port,
		.secret = v->common.secret.set ? &v->common.secret : NULL,
		.protocol = (enum tunnel_protocol)v->protocol,
		.reconnect = !v->no_reconnect,
		.retry = v->retry,
		.reconnect_timeout_ms = v->reconnect_timeout_ms,
		.option_prefix = "",
	};
	const struct tunnel_events events = {
		.state = local_on_state, .visit = local_on_visit, .owner = l
	};
	int r = tunnel_new(&l->runtime.loop, l->runtime.pool, &config, &events, &l->tunnel);

	if (r == -ENOTSUP)
		return EXIT_CODE_FILE;
	if (r < 0) {
		log_error("local", "can't start the tunnel: %s", strerror(-r));
		return EXIT_CODE_FAILED;
	}
	return EXIT_CODE_OK;
}

static int local_run(struct local *l, struct option_set *set)
{
	const struct runtime_handlers handlers = {
		.end = local_on_end,
		.end_now = local_close,
		.hup = local_on_hup,
		.write_metrics = local_on_write_metrics,
		.owner = l,
	};
	int code = common_options_apply(set, &l->values.common);

	if (code == EXIT_CODE_OK)
		code = local_find_hosts(l, set);
	if (code == EXIT_CODE_OK)
		code = runtime_open(&l->runtime, &l->values.common, &handlers);
	if (code != EXIT_CODE_OK)
		return code;
	l->code = local_open_tunnel(l);
	/* The tunnel has a copy of its own. */
	secret_clear(&l->values.common.secret);
	if (l->tunnel)
		tunnel_start(l->tunnel);
	else
		runtime_close(&l->runtime);
	return runtime_run(&l->runtime, &l->code);
}

int cmd_local(const struct program *program, int argc, char **argv)
{
	struct local local = { 0 };
	struct option_set set;
	int code;

	if (usage_parse(&set, &local_table, &local.values, argc, argv, &code))
		code = local_run(&local, &set);
	option_values_clear(&local_table, &local.values);
	return code;
}
