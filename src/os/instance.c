/* SPDX-License-Identifier: MIT */
/*
 * `state` is written by instance_set_state() alone, which asserts that the edge is in the table,
 * does what belongs to the new state, and arms its deadline.
 *
 * An instance lives by four events, all of them its child's: a step on the status pipe (the first
 * one makes it READY, all are counted in `stage`), the deadline (STARTING: it is late, and the
 * owner hears of it; DRAINING: it has had its time; both: ENDING), the end, and what the owner asks
 * for. How ENDING becomes an end, by SIGTERM and then SIGKILL, is the child's business.
 *
 * It owns its plan. What was built is settled when it is READY, and removed with an instance that
 * never was, unless the owner has taken the plan back. *i is freed behind `ended`, never before.
 *
 * The child sees nothing of our environment: what it is to know is in its command.
 */
#include "os/instance.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/cache_dir.h"
#include "app/language.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "conf/option_value.h"
#include "net/listener.h"
#include "os/broker.h"
#include "os/engine_command.h"
#include "os/gate.h"
#include "os/run_config.h"
#include "os/wall.h"

#define START_TIMEOUT_MS (2U * 60 * 1000) /* where code isn't kept, compiling takes a while */
#define DRAIN_TIMEOUT_MS 10000

static const char *const instance_state_names[] = {
	[INSTANCE_NEW] = "new",
	[INSTANCE_STARTING] = "starting",
	[INSTANCE_READY] = "ready",
	[INSTANCE_DRAINING] = "draining",
	[INSTANCE_ENDING] = "ending",
	[INSTANCE_ENDED] = "ended",
};
static_assert(ARRAY_LEN(instance_state_names) == INSTANCE_STATES, "every state has a name");

static const bool instance_edges[INSTANCE_STATES][INSTANCE_STATES] = {
	[INSTANCE_NEW] = { [INSTANCE_STARTING] = true },
	[INSTANCE_STARTING] = { [INSTANCE_READY] = true, /* its first step */
		[INSTANCE_ENDING] = true,                /* late, or told to end */
		[INSTANCE_ENDED] = true },
	[INSTANCE_READY] = { [INSTANCE_DRAINING] = true, /* replaced */
		[INSTANCE_ENDING] = true,
		[INSTANCE_ENDED] = true },
	[INSTANCE_DRAINING] = { [INSTANCE_ENDING] = true, /* it takes too long, or told to end */
		[INSTANCE_ENDED] = true },
	[INSTANCE_ENDING] = { [INSTANCE_ENDED] = true },
};

bool instance_edge(enum instance_state from, enum instance_state to)
{
	return instance_edges[from][to];
}

static uint64_t instance_start_timeout_ms(const struct instance *i)
{
	return i->config->start_timeout_ms ? i->config->start_timeout_ms : START_TIMEOUT_MS;
}

/* 0: none. */
static uint64_t instance_deadline_ms(const struct instance *i)
{
	if (i->state == INSTANCE_STARTING)
		return instance_start_timeout_ms(i);
	if (i->state == INSTANCE_DRAINING)
		return i->config->drain_timeout_ms ? i->config->drain_timeout_ms : DRAIN_TIMEOUT_MS;
	return 0;
}

static void instance_set_state(struct instance *i, enum instance_state state, const char *cause)
{
	assert(instance_edge(i->state, state));
	log_debug("app", "instance %d: %s -> %s (%s)", (int)instance_pid(i),
		instance_state_names[i->state], instance_state_names[state], cause);
	i->state = state;
	child_set_deadline(&i->child, instance_deadline_ms(i));
	if (state == INSTANCE_READY)
		app_plan_settle(&i->plan);
	else if (state == INSTANCE_DRAINING)
		child_signal(&i->child, ENGINE_DRAIN_SIGNAL);
	else if (state == INSTANCE_ENDING)
		child_end(&i->child);
}

static void instance_on_child_step(struct child *child)
{
	struct instance *i = child->owner;

	if (i->stage < INSTANCE_ANSWERED)
		i->stage++;
	if (i->state != INSTANCE_STARTING)
		return;
	instance_set_state(i, INSTANCE_READY, "takes connections");
	i->config->events.ready(i->config->events.owner, i);
}

static void instance_on_child_late(struct child *child)
{
	struct instance *i = child->owner;

	i->late = i->state == INSTANCE_STARTING;
	instance_set_state(i, INSTANCE_ENDING, "its time is over");
	if (i->late)
		i->config->events.late(i->config->events.owner, i);
}

/* Until the gate sees it, which may be later than the end. */
static bool instance_has_shut(const struct instance *i)
{
	int fd = i->config->listen_fd;
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && !listener_listens(fd);
}

static void instance_on_child_ended(struct child *child, int status)
{
	struct instance *i = child->owner;
	char end[64];

	i->status = status;
	if (!*i->crime && instance_has_shut(i))
		snprintf(i->crime, sizeof i->crime, "%s", GATE_SHUT);
	i->session = broker_session_close(i->session);
	if (WIFSIGNALED(status) && cgroup_is_out_of_memory(&i->cgroup))
		snprintf(i->child.why, sizeof i->child.why,
			"out of memory: it has used up the %" PRIu64
			" MiB of --max-memory-mib (os.limits.max_memory_mib)",
			i->config->run->limits.max_memory_mib);
	cgroup_remove(&i->cgroup);
	instance_set_state(i, INSTANCE_ENDED, child_describe_end(status, end, sizeof end));
	i->config->events.ended(i->config->events.owner, i);
	app_plan_clear(&i->plan);
	free(i);
}

static void instance_on_hostile(void *owner, const char *why)
{
	char text[INSTANCE_REASON_MAX];

	snprintf(text, sizeof text, "it has sent its broker what no client of ours sends: %s", why);
	instance_condemn(owner, text);
}

/* What the child is: its command, and what it may reach. */
struct instance_launch {
	struct spawn_config spawn;
	struct engine_command command;
	struct spawn_wall wall; /* of spawn.wall, unless that is NULL */
	char *empty_dir;
};

static void instance_launch_clear(struct instance_launch *launch)
{
	engine_command_deinit(&launch->command);
	launch->wall.file_rules = fd_close(launch->wall.file_rules);
	free(launch->empty_dir);
}

/* A file that is named alone is no project: what lies beside it is none of its business. */
static const char *instance_project(
	const struct instance_config *config, const struct app_plan *plan)
{
	struct stat st;

	return stat(config->run->project_path, &st) == 0 && S_ISDIR(st.st_mode) ? plan->folder
										: NULL;
}

static int instance_build_wall(const struct instance_config *config, const struct app_plan *plan,
	const struct engine_config *engine, struct instance_launch *launch,
	char ret_why[APP_WHY_MAX])
{
	const struct wall_config wall = {
		.engine = engine,
		.command = &launch->command,
		.folder = plan->folder,
		.project = instance_project(config, plan),
		.writable = config->run->app.writable,
		.again = true,
	};
	int r;

	if (config->run->no_isolation) {
		log_warn("app", "%s", WALL_NONE);
		return 0;
	}
	if (wall.writable && wall.project)
		log_warn("app", "%s", WALL_WRITABLE);
	r = wall_open(&wall, &launch->wall, ret_why);
	if (r == 0)
		launch->spawn.wall = &launch->wall;
	return r;
}

static int instance_prepare(const struct instance_config *config, const struct app_plan *plan,
	enum app_interface interface, struct instance_launch *launch, char ret_why[APP_WHY_MAX])
{
	const struct os_app_config *app = &config->run->app;
	struct spawn_config *spawn = &launch->spawn;
	/* The user may have emptied his cache: a crash doesn't wait for another compiler. */
	bool compiled = plan->compiled && access(plan->compiled, R_OK | X_OK) == 0;
	int r = cache_dir_make("empty", &launch->empty_dir, ret_why);

	if (r < 0)
		return r;
	const struct engine_config engine = {
		.interface = interface,
		.module = app_plan_file(plan),
		.guest_program = config->guest_program,
		.cache_dir = compiled ? plan->compiled : NULL,
		.empty_dir = launch->empty_dir,
		.quick = config->run->watch,
		.dirs = &app->dirs,
		.env = &app->env,
		.fallback = app->fallback,
		.headers = &app->headers,
		.args = app->args.items,
		.arg_count = app->args.count,
		.listen_fd = spawn_fds_set(&spawn->fds, SPAWN_LISTENER, config->listen_fd),
		.status_fd = spawn_fds_set(&spawn->fds, SPAWN_STATUS, -1),
		.broker_fd = spawn_fds_number(&spawn->fds, SPAWN_BROKER),
		.walled = !config->run->no_isolation,
		.addr = config->listen_addr,
		.request_timeout_ms = app->request_timeout_ms,
	};
	r = engine_command_init(&launch->command, &engine, ret_why);
	if (r == 0)
		r = instance_build_wall(config, plan, &engine, launch, ret_why);
	spawn->argv = (const char *const *)launch->command.argv.items;
	spawn->env = (const char *const *)launch->command.env.items;
	return r;
}

/* Without one it is served all the same. */
static void instance_join_cgroup(
	struct instance *i, const struct instance_config *config, struct spawn_config *spawn)
{
	const struct os_limits_config *limits = &config->run->limits;
	const struct cgroup_limits own = {
		.memory_bytes = limits->max_memory_mib << 20,
		.threads = limits->max_threads,
		.cpu_percent = limits->max_cpu_percent,
	};
	int r = config->cgroup ? cgroup_add(config->cgroup, &own, &i->cgroup) : 0;

	if (r < 0)
		log_warn("app", "can't make a cgroup for it: %s", strerror(-r));
	if (i->cgroup.parent)
		spawn->cgroup = &i->cgroup;
}

static int instance_begin(struct instance *i, const struct instance_config *config,
	const struct app_plan *plan, enum app_interface interface, char ret_why[APP_WHY_MAX])
{
	const struct broker_events events = { .hostile = instance_on_hostile, .owner = i };
	_cleanup_(instance_launch_clear) struct instance_launch launch = {
		.spawn = { .dir = plan->folder, .open_files = config->open_files },
		.wall.file_rules = -1,
	};
	struct spawn_fds *fds = &launch.spawn.fds;
	_cleanup_(fd_closep) int broker_fd = -1;
	/* Without the wall it has the network itself. */
	struct broker *broker = config->run->no_isolation ? NULL : config->broker;
	int r = broker ? broker_session_open(broker, &events, &i->session, &broker_fd) : 0;

	if (r < 0) {
		snprintf(ret_why, APP_WHY_MAX, "its broker can't begin: %s", strerror(-r));
		return r;
	}
	if (broker)
		(void)spawn_fds_set(fds, SPAWN_BROKER, broker_fd);
	r = instance_prepare(config, plan, interface, &launch, ret_why);
	if (r < 0)
		return r;
	launch.wall.threads = config->run->limits.max_threads;
	instance_join_cgroup(i, config, &launch.spawn);
	r = child_start(
		&i->child, config->loop, &launch.spawn, LOG_STREAM_STDOUT, LOG_STREAM_STDERR);
	if (r < 0)
		snprintf(ret_why, APP_WHY_MAX, "%.*s", APP_WHY_MAX - 1, i->child.why);
	return r;
}

int instance_start(const struct instance_config *config, struct app_plan *plan,
	enum app_interface interface, struct instance **ret_instance, char ret_why[APP_WHY_MAX])
{
	struct instance *i = calloc(1, sizeof *i);
	int r;

	if (!i) {
		snprintf(ret_why, APP_WHY_MAX, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	i->child.ring = config->ring;
	i->child.step = instance_on_child_step;
	i->child.late = instance_on_child_late;
	i->child.ended = instance_on_child_ended;
	i->child.owner = i;
	r = instance_begin(i, config, plan, interface, ret_why);
	if (r < 0) {
		i->session = broker_session_close(i->session);
		cgroup_remove(&i->cgroup);
		free(i);
		return r;
	}
	list_init(&i->link);
	i->config = config;
	i->interface = interface;
	i->plan = *plan;
	*plan = (struct app_plan){ 0 };
	instance_set_state(i, INSTANCE_STARTING, app_interface_words[interface]);
	*ret_instance = i;
	return 0;
}

static bool instance_can_end(const struct instance *i)
{
	return i && instance_edge(i->state, INSTANCE_ENDING);
}

void instance_drain(struct instance *i)
{
	if (i->state == INSTANCE_READY)
		instance_set_state(i, INSTANCE_DRAINING, "replaced");
	else
		instance_end(i);
}

void instance_end(struct instance *i)
{
	if (instance_can_end(i))
		instance_set_state(i, INSTANCE_ENDING, "told to end");
}

void instance_kill(struct instance *i)
{
	if (!i)
		return;
	instance_end(i);
	child_kill(&i->child);
}

void instance_condemn(struct instance *i, const char *why)
{
	if (!i)
		return;
	snprintf(i->crime, sizeof i->crime, "%s", why);
	instance_kill(i);
}

pid_t instance_pid(const struct instance *i)
{
	return i ? i->child.proc.pid : 0;
}

const char *instance_kind(const struct instance *i)
{
	return app_interface_words[i->interface];
}

bool instance_was_content(const struct instance *i)
{
	return WIFEXITED(i->status) && WEXITSTATUS(i->status) == 0 && i->stage < INSTANCE_VISITED &&
	       !*i->crime;
}

static void instance_explain_lateness(const struct instance *i, char ret_text[INSTANCE_REASON_MAX])
{
	char text[OPTION_DURATION_TEXT_MAX], hint[MODULE_HINT_MAX];
	unsigned fd = LANGUAGE_FIRST_FD + (unsigned)i->config->run->app.dirs.count;

	option_format_duration(instance_start_timeout_ms(i), text);
	snprintf(ret_text, INSTANCE_REASON_MAX,
		"it has not turned to its listening socket in %s: %s", text,
		module_hint(&i->plan.info, i->interface, fd, hint));
}

void instance_explain_end(const struct instance *i, bool ran, char ret_text[INSTANCE_REASON_MAX])
{
	bool exited = WIFEXITED(i->status), well = exited && WEXITSTATUS(i->status) == 0;
	bool component = i->interface == APP_HTTP || i->interface == APP_COMMAND;
	const char *words = i->child.words;
	char end[64];

	if (i->late) {
		instance_explain_lateness(i, ret_text);
		return;
	}
	if (*i->crime || *i->child.why) {
		snprintf(ret_text, INSTANCE_REASON_MAX, "%s", *i->crime ? i->crime : i->child.why);
		return;
	}
	/* The wasmtime command says why in words only. */
	if (!component || !exited || well)
		words = "";
	snprintf(ret_text, INSTANCE_REASON_MAX, "%s%s%s%s",
		!ran   ? "it ended before it took a connection: "
		: well ? "it ended by itself: "
		       : "",
		child_describe_end(i->status, end, sizeof end), *words ? ": " : "",
		words + strspn(words, " "));
}

void instance_give_plan(struct instance *i, struct app_plan *plan)
{
	*plan = i->plan;
	i->plan = (struct app_plan){ 0 };
}
