/* SPDX-License-Identifier: MIT */
/*
 * Calls go one way: the API asks the exposure and the supervisor, and the exposure asks the
 * supervisor. What happens comes back through this file, which tells the API and the owner.
 *
 * Events, and what they lead to:
 *   supervisor's state   the first RUNNING is READY, and starts the tunnel where --expose says so;
 *                        one after a build is AGAIN; FAILED before the first is WAITS or HOPELESS
 *   supervisor's next    a line in the log
 *   exposure's state     CONNECTED after a start is PUBLIC
 *   a line               the owner prints it
 *   a connection         its end is a line of the connection log; and the API hears of it, as it
 *                        does of all of the above
 *   a decision           likewise
 *
 * Closing goes from the outside in: the run file, so that nobody finds us any more; the API, which
 * asks the others; the forwards and the exposure, whose visitors talk to the application; the
 * supervisor, which waits for the application to end; the watch of the policy; the broker, which
 * has its connections; the network; the connection log, which hears of all of them; the timer. Then
 * the owner is told. From the first step on only lines are passed on.
 */
#include "os/run.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/owner.h"
#include "net/addr.h"
#include "net/host.h"
#include "os/api.h"
#include "os/broker.h"
#include "os/conn_file.h"
#include "os/exposure.h"
#include "os/forward.h"
#include "os/network.h"
#include "os/network_settings.h"
#include "os/network_watch.h"
#include "os/run_config.h"
#include "os/run_file.h"
#include "os/supervisor.h"
#include "proto/handshake.h"
#include "record/recorder.h"

static void os_run_tell(struct os_run *run, enum os_run_event event)
{
	run->events.happened(run->events.owner, event, NULL);
}

static void os_run_tell_building(struct os_run *run, const char *what)
{
	run->built = true;
	run->events.happened(run->events.owner, OS_RUN_BUILDING, what);
}

/* --- the application --- */

static void os_run_on_line(void *owner, const struct log_line *line)
{
	struct os_run *run = owner;

	if (run->api)
		api_log_line(run->api, line);
	run->events.line(run->events.owner, line);
}

/* The states that are worth a line. All of them are seen with --verbose. */
static void os_run_log_state(
	enum supervisor_state state, const char *cause, const struct supervisor_status *app)
{
	if (state == SUPERVISOR_BUILDING)
		log_step("app", "building (%s)", cause);
	else if (state == SUPERVISOR_STOPPED)
		log_info("app", "%s", cause);
	else if (state == SUPERVISOR_FAILED)
		log_error("app", "%s", app->exit_reason);
}

static void os_run_expose(struct os_run *run)
{
	int r = exposure_start(run->exposure, NULL);

	run->exposed = true;
	if (r != 0)
		log_error("os", "can't start the tunnel: %s",
			r < 0 ? strerror(-r) : "there is no application");
}

static void os_run_on_app_state(
	void *owner, enum supervisor_state old, enum supervisor_state new_state, const char *cause)
{
	struct os_run *run = owner;
	struct supervisor_status app;

	if (run->closing)
		return;
	if (run->api)
		api_app_changed(run->api, cause);
	supervisor_status(run->supervisor, &app);
	if (new_state == SUPERVISOR_FAILED || new_state == SUPERVISOR_STOPPED)
		os_run_tell(run, OS_RUN_DOWN);
	os_run_log_state(new_state, cause, &app);
	if (new_state == SUPERVISOR_BUILDING)
		os_run_tell_building(run, cause);
	if (new_state == SUPERVISOR_FAILED && !run->ran) {
		os_run_tell(run, run->config->watch ? OS_RUN_WAITS : OS_RUN_HOPELESS);
		return;
	}
	if (new_state != SUPERVISOR_RUNNING)
		return;
	if (!run->ran) {
		run->ran = true;
		os_run_tell(run, OS_RUN_READY);
	} else if (run->built) {
		os_run_tell(run, OS_RUN_AGAIN);
	}
	run->built = false;
	if (run->config->expose && !run->exposed)
		os_run_expose(run);
}

static void os_run_on_app_next(void *owner, enum supervisor_next next, const char *cause)
{
	struct os_run *run = owner;
	struct supervisor_status app;

	if (run->closing)
		return;
	supervisor_status(run->supervisor, &app);
	if (run->api)
		api_app_changed(run->api, cause);
	if (next == SUPERVISOR_NEXT_NONE)
		run->built = false;
	if (next == SUPERVISOR_NEXT_BUILDING) {
		log_step("app", "building what replaces it (%s)", cause);
		os_run_tell_building(run, cause);
	} else if (next == SUPERVISOR_NEXT_NONE && cause) {
		log_error("app", "not replaced, the old one goes on: %s", cause);
	} else if (next == SUPERVISOR_NEXT_NONE) {
		log_info("app", "replaced: pid %d takes the connections from now on", (int)app.pid);
	}
}

static void os_run_on_app_crashed(void *owner, const char *line)
{
	struct os_run *run = owner;

	os_run_tell(run, OS_RUN_DOWN);
	log_warn("app", "%s", line);
}

/* --- its public address --- */

/* It is another server where the API has named one, and it may have another address each time. */
static void os_run_protect_relay(struct os_run *run)
{
	struct exposure_status status;
	struct host server;

	exposure_status(run->exposure, &status);
	server = host_of(HOST_RELAY, status.server);
	network_protect(
		run->network, NETWORK_RELAY, server.name, server.port ? server.port : CONTROL_PORT);
	network_protect_relay(
		run->network, status.tunnel.relay_addrs, status.tunnel.relay_addr_count);
}

static void os_run_on_exposure_state(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	struct os_run *run = owner;
	struct exposure_status status;

	if (run->closing)
		return;
	os_run_protect_relay(run);
	if (run->api)
		api_tunnel_changed(run->api, old, new_state, cause);
	if (new_state == TUNNEL_CONNECTED && old == TUNNEL_CONNECTING)
		os_run_tell(run, OS_RUN_PUBLIC);
	if (new_state != TUNNEL_FAILED)
		return;
	os_run_tell(run, OS_RUN_UNSHARED);
	exposure_status(run->exposure, &status);
	log_error("tunnel", "%s", status.tunnel.error ? status.tunnel.error : cause);
}

static void os_run_on_visit(void *owner, const struct tunnel_visit *visit)
{
	struct os_run *run = owner;

	conn_log_visit(&run->conns, visit);
}

static struct tap *os_run_on_tap(void *owner, const struct tunnel_visit *visit)
{
	struct os_run *run = owner;

	return conn_log_tap_visit(&run->conns, visit);
}

static void os_run_on_exchange(void *owner, const struct exchange *e)
{
	struct os_run *run = owner;

	if (run->api && !run->closing)
		api_exchange_changed(run->api, e);
}

static void os_run_on_connection(void *owner, const struct conn *conn)
{
	struct os_run *run = owner;

	if (run->conn_file && !conn->open)
		conn_file_add(run->conn_file, conn);
	if (run->api && !run->closing)
		api_connection_changed(run->api, conn);
}

/* --- opening --- */

static void os_run_on_decision(void *owner, const struct network_decision *decision)
{
	struct os_run *run = owner;

	if (run->api && !run->closing)
		api_decision(run->api, decision);
}

static int os_run_open_network(struct os_run *run, uv_loop_t *loop, struct pump_pool *pool)
{
	struct network_limits limits;
	struct policy *policy;
	int r = network_new(loop, run->ring, &run->network);

	if (r < 0)
		return r;
	network_listen(run->network, os_run_on_decision, run);
	r = network_settings_make(&run->config->network, run->config->file, &policy, &limits);
	if (r == 0)
		r = network_set(run->network, policy, &limits);
	if (r < 0)
		return r;
	return broker_new(
		&(struct broker_config){
			.loop = loop, .pool = pool, .network = run->network, .log = &run->conns },
		&run->broker);
}

/* What the user has set is told if it can't be kept; for what holds by itself `doctor` is there. */
static void os_run_open_cgroup(struct os_run *run)
{
	const struct os_limits_config *limits = &run->config->limits;
	int r = cgroup_open(&run->cgroup);

	run->divided = r == 0;
	if (r < 0 && (limits->max_memory_mib != LIMIT_MEMORY_MIB ||
			     limits->max_threads != LIMIT_THREADS ||
			     limits->max_cpu_percent != LIMIT_CPU_PERCENT))
		log_warn("app", "its limits (os.limits) are not kept: %s", cgroup_explain(r));
	else if (r == 0 && limits->max_cpu_percent && !run->cgroup.has[CGROUP_CPU])
		log_warn("app", "its processor time is not limited: the cgroup has no controller "
				"of it");
}

/* A file alone has no settings that could change; and those that the application could change are
 * none that it is kept by. */
static void os_run_watch_network(struct os_run *run, uv_loop_t *loop)
{
	int r = 0;

	if (run->config->watch && *run->config->file_path && !run->config->app.writable)
		r = network_watch_new(loop, run->config, run->network, &run->network_watch);
	if (r < 0)
		log_warn("os", "can't watch 'wasmrun.toml', a change needs a restart: %s",
			strerror(-r));
}

/* What no rule can allow. */
static void os_run_protect(struct os_run *run)
{
	struct supervisor_status app;

	supervisor_status(run->supervisor, &app);
	network_protect(run->network, NETWORK_GATE, OS_APP_HOST, app.port);
	network_protect(run->network, NETWORK_PAGE, run->config->listen, api_port(run->api));
	os_run_protect_relay(run);
}

static int os_run_open_api(struct os_run *run, uv_loop_t *loop)
{
	struct api_config config = {
		.loop = loop,
		.run = run->config,
		.supervisor = run->supervisor,
		.exposure = run->exposure,
		.forwards = run->forwards,
		.ring = run->ring,
		.network = run->network,
		.conns = &run->conns,
		.recorder = run->recorder,
	};
	int r = addr_parse_ip(run->config->listen, (uint16_t)run->config->http_port, &config.addr);

	return r < 0 ? r : api_new(&config, &run->api);
}

/* Beside --forward there may be more of them later. */
static int os_run_open_forwards(struct os_run *run, uv_loop_t *loop, struct pump_pool *pool)
{
	const struct forwards_config config = {
		.loop = loop,
		.pool = pool,
		.ports = broker_ports(run->broker),
		.conns = &run->conns,
	};
	const struct option_list *texts = &run->config->forwards;
	struct forward_status status;
	char why[HOST_WHY_MAX];
	int r = forwards_new(&config, &run->forwards);

	for (size_t i = 0; i < texts->count && r == 0; i++) {
		r = forward_spec_parse(texts->items[i], &run->forward, why);
		if (r == 0)
			r = forwards_add(run->forwards, &run->forward, &status);
	}
	return r;
}

/* `wasmrun tunnel` and others find us by it. All else works without it. */
static void os_run_write_file(struct os_run *run)
{
	const char *url = api_url(run->api);
	char base[ADDR_TEXT_MAX + sizeof "http://"], project[PATH_MAX];
	const struct run_entry entry = {
		.project = project,
		.url = base,
		.token = api_token(run->api),
		.pid = getpid(),
	};
	int r = 0;

	/* Without the slash, and what may follow it. */
	(void)snprintf(base, sizeof base, "%.*s",
		(int)(strlen("http://") + strcspn(url + strlen("http://"), "/")), url);
	if (!realpath(run->config->project_path, project))
		r = -errno;
	if (r == 0)
		r = run_file_new(&entry, &run->run_file);
	if (r < 0)
		log_warn("os",
			"other commands can't find this one: no file in $XDG_RUNTIME_DIR/"
			"wasmrun (or /tmp/wasmrun-UID): %s",
			r == -EPERM ? "it is no folder that is yours alone" : strerror(-r));
}

static int os_run_open_conns(struct os_run *run, uv_loop_t *loop)
{
	const struct recorder_config recorder = {
		.loop = loop, .changed = os_run_on_exchange, .owner = run
	};
	int r = conn_log_init(&run->conns, os_run_on_connection, run);

	if (r == 0)
		r = recorder_new(&recorder, &run->recorder);
	run->conns.recorder = run->recorder;
	return r;
}

enum os_run_part os_run_open(struct os_run *run, uv_loop_t *loop, struct pump_pool *pool,
	const struct os_run_config *config, uint64_t open_files, const struct os_run_events *events,
	int *ret_error)
{
	struct supervisor_config supervisor = { .run = config, .open_files = open_files };
	const struct supervisor_events app_events = {
		.state = os_run_on_app_state,
		.next = os_run_on_app_next,
		.crashed = os_run_on_app_crashed,
		.owner = run,
	};
	const struct exposure_events exposure_events = {
		.state = os_run_on_exposure_state,
		.visit = os_run_on_visit,
		.tap = os_run_on_tap,
		.owner = run,
	};

	*run = (struct os_run){ .config = config, .events = *events };
	(void)uv_timer_init(loop, &run->end_timer);
	run->end_timer.data = run;
	*ret_error = -ENOMEM;
	run->ring = log_ring_new();
	if (!run->ring)
		return OS_RUN_LOG;
	*ret_error = os_run_open_conns(run, loop);
	if (*ret_error < 0)
		return OS_RUN_LOG;
	if (config->connection_log)
		*ret_error = conn_file_new(loop, config->connection_log, &run->conn_file);
	if (*ret_error < 0)
		return OS_RUN_CONNECTION_LOG;
	log_ring_follow(run->ring, os_run_on_line, run);
	*ret_error = os_run_open_network(run, loop, pool);
	if (*ret_error < 0)
		return OS_RUN_NETWORK;
	supervisor.broker = run->broker;
	os_run_open_cgroup(run);
	if (run->divided)
		supervisor.cgroup = &run->cgroup;
	*ret_error = supervisor_new(loop, &supervisor, run->ring, &app_events, &run->supervisor);
	if (*ret_error < 0)
		return OS_RUN_APPLICATION;
	*ret_error =
		exposure_new(loop, pool, config, run->supervisor, &exposure_events, &run->exposure);
	if (*ret_error < 0)
		return OS_RUN_TUNNEL;
	*ret_error = os_run_open_forwards(run, loop, pool);
	if (*ret_error != 0)
		return OS_RUN_FORWARD;
	*ret_error = os_run_open_api(run, loop);
	if (*ret_error < 0)
		return OS_RUN_API;
	os_run_protect(run);
	os_run_watch_network(run, loop);
	os_run_write_file(run);
	api_found(run->api);
	return 0;
}

void os_run_start(struct os_run *run)
{
	supervisor_start(run->supervisor);
}

void os_run_hurry(struct os_run *run)
{
	if (run->closing)
		return;
	exposure_hurry(run->exposure);
	if (run->conn_file)
		conn_file_reopen(run->conn_file);
}

/* --- closing --- */

static void os_run_on_timer_closed(uv_handle_t *handle)
{
	os_run_tell(handle->data, OS_RUN_CLOSED);
}

static void os_run_on_conn_file_closed(void *owner)
{
	struct os_run *run = owner;

	uv_close((uv_handle_t *)&run->end_timer, os_run_on_timer_closed);
}

static void os_run_on_recorder_closed(void *owner)
{
	struct os_run *run = owner;

	run->recorder = NULL;
	if (run->conn_file)
		conn_file_close(take_ptr(run->conn_file), os_run_on_conn_file_closed, run);
	else
		os_run_on_conn_file_closed(run);
}

static void os_run_on_network_closed(void *owner)
{
	struct os_run *run = owner;

	run->network = NULL;
	if (run->recorder)
		recorder_close(run->recorder, os_run_on_recorder_closed, run);
	else
		os_run_on_recorder_closed(run);
}

static void os_run_on_broker_closed(void *owner)
{
	struct os_run *run = owner;

	run->broker = NULL;
	if (run->network)
		network_close(run->network, os_run_on_network_closed, run);
	else
		os_run_on_network_closed(run);
}

static void os_run_on_network_watch_closed(void *owner)
{
	struct os_run *run = owner;

	run->network_watch = NULL;
	if (run->broker)
		broker_close(run->broker, os_run_on_broker_closed, run);
	else
		os_run_on_broker_closed(run);
}

static void os_run_on_supervisor_closed(void *owner)
{
	struct os_run *run = owner;

	run->supervisor = NULL;
	if (run->network_watch)
		network_watch_close(run->network_watch, os_run_on_network_watch_closed, run);
	else
		os_run_on_network_watch_closed(run);
}

static void os_run_close_supervisor(struct os_run *run)
{
	supervisor_close(run->supervisor, os_run_on_supervisor_closed, run);
	/* The second call ends the application by force. */
	if (run->hurry)
		supervisor_close(run->supervisor, os_run_on_supervisor_closed, run);
}

static void os_run_on_exposure_closed(void *owner)
{
	struct os_run *run = owner;

	run->exposure = NULL;
	os_run_close_supervisor(run);
}

static void os_run_on_forwards_closed(void *owner)
{
	struct os_run *run = owner;

	run->forwards = NULL;
	if (run->exposure)
		exposure_close(run->exposure, os_run_on_exposure_closed, run);
	else if (run->supervisor)
		os_run_close_supervisor(run);
	else
		os_run_on_supervisor_closed(run);
}

static void os_run_on_api_closed(void *owner)
{
	struct os_run *run = owner;

	run->api = NULL;
	if (run->forwards)
		forwards_close(run->forwards, os_run_on_forwards_closed, run);
	else
		os_run_on_forwards_closed(run);
}

void os_run_close(struct os_run *run)
{
	if (run->closing)
		return;
	run->closing = true;
	run->run_file = run_file_free(run->run_file);
	if (run->api)
		api_close(run->api, os_run_on_api_closed, run);
	else
		os_run_on_api_closed(run);
}

void os_run_close_now(struct os_run *run)
{
	run->hurry = true;
	os_run_close(run);
	if (run->supervisor && !run->exposure)
		supervisor_close(run->supervisor, os_run_on_supervisor_closed, run);
}

void os_run_deinit(struct os_run *run)
{
	if (run->divided)
		cgroup_close(&run->cgroup);
	run->ring = log_ring_free(run->ring);
	conn_log_deinit(&run->conns);
}
