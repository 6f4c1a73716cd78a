/* SPDX-License-Identifier: MIT */
/*
 * `bore server`: one relay, from its configuration (server_options.h) to the exit code.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/event.h"
#include "cli/notify.h"
#include "cli/runtime.h"
#include "cli/server_options.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "conf/option_value.h"
#include "net/addr.h"
#include "net/listener.h"
#include "relay/conn_log.h"
#include "relay/relay.h"
#include "relay/takeover.h"

struct server {
	struct runtime runtime;
	struct server_values values;
	struct conn_log *conn_log; /* owned; NULL: none */
	struct relay *relay;
	bool closing, handed_over;
	int code; /* enum exit_code */
};

static void server_on_relay_closed(void *owner)
{
	struct server *s = owner;

	s->relay = NULL;
	runtime_close(&s->runtime);
}

static void server_close(void *owner)
{
	struct server *s = owner;

	if (s->closing)
		return;
	s->closing = true;
	relay_close(s->relay, server_on_relay_closed, s);
}

static void server_on_end(void *owner, enum runtime_signal signal)
{
	struct server *s = owner;
	char grace[OPTION_DURATION_TEXT_MAX];

	if (s->closing)
		return;
	(void)notify_send(NOTIFY_STOPPING);
	/* It drains already. */
	if (s->handed_over)
		return;
	log_info("server", "waiting up to %s for open connections, a second signal ends at once",
		option_format_duration(s->values.common.grace_ms, grace));
	relay_drain(s->relay, server_close, s);
}

static void server_on_hup(void *owner)
{
	struct server *s = owner;
	int r = s->conn_log ? conn_log_reopen(s->conn_log, s->values.connection_log) : 0;

	if (r < 0)
		log_warn("server", "can't open the connection log anew, the old file goes on: %s",
			file_why(r));
}

static void server_on_write_metrics(void *owner, FILE *out)
{
	struct server *s = owner;

	if (!s->closing)
		relay_write_metrics(s->relay, out);
}

/* The service manager isn't told: it would give this process no more time than for a stop. */
static void server_on_handed_over(struct server *s)
{
	char grace[OPTION_DURATION_TEXT_MAX];

	s->handed_over = true;
	runtime_close_metrics(&s->runtime);
	log_info("server",
		"the next relay has taken over, open connections may go on here for up to %s",
		option_format_duration(s->values.common.grace_ms, grace));
	relay_drain(s->relay, server_close, s);
}

static void server_on_event(void *owner, const struct relay_event *event)
{
	struct server *s = owner;
	bool closed = event->type == RELAY_TUNNEL_CLOSED ||
		      event->type == RELAY_TUNNEL_HANDED_OVER ||
		      event->type == RELAY_VISITOR_CLOSED;
	char addr[ADDR_TEXT_MAX];

	if (event->type == RELAY_HANDED_OVER)
		server_on_handed_over(s);
	if (!s->values.common.json || event->type == RELAY_LISTENING)
		return;
	if (closed)
		event_write(relay_event_name(event->type), "{s:s?, s:i, s:s?, s:I, s:I, s:I, s:s?}",
			"address", event->addr ? addr_format(event->addr, addr) : NULL, "port",
			(int)event->port, "id", event->id, "bytes_in", (json_int_t)event->bytes_in,
			"bytes_out", (json_int_t)event->bytes_out, "duration_ms",
			(json_int_t)event->duration_ms, "why", event->why);
	else
		event_write(relay_event_name(event->type), "{s:s?, s:i, s:s?, s:s?}", "address",
			event->addr ? addr_format(event->addr, addr) : NULL, "port",
			(int)event->port, "id", event->id, "why", event->why);
}

/* Opened once and kept: the reader of a pipe sees its end when a first writer closes it. An enum
 * exit_code. */
static int server_open_log(struct server *s)
{
	const char *path = s->values.connection_log;
	int r = path ? conn_log_open(path, &s->conn_log) : 0;

	return r < 0 ? runtime_conn_log_error(r, path) : EXIT_CODE_OK;
}

/* The ports of --bind-tunnels open only when clients come. Tries now whether one could. An enum
 * exit_code. */
static int server_check_tunnels(const struct addr *addr)
{
	_cleanup_(fd_closep) int fd = -1;
	struct addr bound = *addr;
	int r = listener_socket(&bound, 1, &fd);

	return r < 0 ? runtime_listen_error(r, addr, "--bind-tunnels") : EXIT_CODE_OK;
}

static void server_show_address(struct server *s, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	if (s->values.common.json)
		event_write(
			"listening", "{s:s, s:i}", "address", text, "port", (int)addr_port(addr));
	else
		printf("server listening at %s\n", text);
	(void)notify_send(NOTIFY_READY);
}

/* The relay before, where there is one. An enum exit_code. */
static int server_find_before(const char *path, struct takeover *before)
{
	int r = path ? takeover_begin(before, path) : 0;
	char shown[256];

	if (r == 0)
		return EXIT_CODE_OK;
	log_error("server",
		"can't take over from the relay at '%s': %s; it goes on: end it first, or name "
		"another path with --handover",
		log_escape(shown, sizeof(shown), path, strlen(path)), strerror(-r));
	return EXIT_CODE_FILE;
}

/*
 * The relay listens. What it has from the relay before is its own when that one has let go, which
 * is also when the addresses of --metrics and --handover are free. An enum exit_code.
 */
static int server_succeed(struct server *s, struct takeover *before)
{
	const char *path = s->values.handover;
	bool follows = before->fd >= 0;
	int r = follows ? takeover_finish(before) : 0, code;
	char shown[256];

	if (r < 0) {
		log_error("server", "the relay before hasn't let go of its ports: %s; it goes on",
			strerror(-r));
		return EXIT_CODE_FAILED;
	}
	code = runtime_open_metrics(&s->runtime, &s->values.common);
	/* Nobody else serves now: better without metrics than not at all. */
	if (code != EXIT_CODE_OK && !follows)
		return code;
	r = relay_offer(s->relay, path);
	if (r == 0)
		return EXIT_CODE_OK;
	log_error("server", "no relay can follow this one: can't listen at '%s': %s (--handover)",
		log_escape(shown, sizeof(shown), path, strlen(path)), strerror(-r));
	return follows ? EXIT_CODE_OK : EXIT_CODE_FILE;
}

static int server_open_relay(struct server *s, const struct relay_config *config)
{
	_cleanup_(takeover_end) struct takeover before = TAKEOVER_INIT;
	struct addr addr;
	int code = server_find_before(s->values.handover, &before), r;

	if (code != EXIT_CODE_OK)
		return code;
	r = relay_new(&s->runtime.loop, s->runtime.pool, config, server_on_event, s, &s->relay);
	if (r < 0) {
		log_error("server", "can't start the relay: %s", strerror(-r));
		return EXIT_CODE_FAILED;
	}
	r = relay_start(s->relay, &before, &addr);
	if (r < 0)
		return runtime_listen_error(r, &addr, "--bind-addr, --control-port");
	if (s->values.handover)
		code = server_succeed(s, &before);
	if (code == EXIT_CODE_OK)
		server_show_address(s, &addr);
	return code;
}

static int server_serve(struct server *s, struct option_set *set)
{
	const struct runtime_handlers handlers = {
		.end = server_on_end,
		.end_now = server_close,
		.hup = server_on_hup,
		.write_metrics = server_on_write_metrics,
		.owner = s,
	};
	const char *metrics = s->values.common.metrics;
	struct relay_config config;
	int code = common_options_apply(set, &s->values.common);

	if (code == EXIT_CODE_OK)
		code = server_make_config(&s->values, set, &config);
	if (code == EXIT_CODE_OK)
		code = server_open_log(s);
	config.conn_log = s->conn_log;
	if (code == EXIT_CODE_OK && s->values.bind_tunnels)
		code = server_check_tunnels(&config.bind_tunnels);
	/* The relay before still has it. */
	if (s->values.handover)
		s->values.common.metrics = NULL;
	if (code == EXIT_CODE_OK)
		code = runtime_open(&s->runtime, &s->values.common, &handlers);
	s->values.common.metrics = metrics;
	if (code != EXIT_CODE_OK)
		return code;
	server_warn(&s->values, set, &config);
	s->code = server_open_relay(s, &config);
	if (!s->relay)
		runtime_close(&s->runtime);
	else if (s->code != EXIT_CODE_OK)
		server_close(s);
	return runtime_run(&s->runtime, &s->code);
}

int cmd_server(const struct program *program, int argc, char **argv)
{
	struct server server = { 0 };
	struct option_set set;
	int code;

	if (usage_parse(&set, &server_table, &server.values, argc, argv, &code))
		code = server_serve(&server, &set);
	server.conn_log = conn_log_close(server.conn_log);
	option_values_clear(&server_table, &server.values);
	return code;
}
