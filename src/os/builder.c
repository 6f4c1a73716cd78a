/* SPDX-License-Identifier: MIT */
/*
 * A build is a row of phases: a job detects what is in the folder and what that needs, the watch is
 * aimed at it (--watch), so that no change is missed from there on, the build command runs as a
 * child, and another job takes what it has made. Then the engine compiles it, as a child, too,
 * unless the code is there: the job before looks for that. Where nothing has to be built, compiling
 * follows the aiming; where nothing is found, that is the end: a change may bring it. The plan is
 * made anew each time: what is in the folder may have changed.
 *
 * The plan is handed along: to the job that takes what was built, back with its end, and to the
 * owner with builder_take_plan(). Who has it removes what was built and not settled.
 *
 * Only the end of a phase begins the next one or ends the build: a job's done callback, `watching`,
 * or the end of the child. A build that is given up ends with its child, or in other phases on the
 * loop's next turn, since a job may never end; what comes after it waits in the same line for that.
 * That is also why only the command has a deadline: nobody could end a job that is late.
 */
#include "os/builder.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "app/language.h"
#include "app/rule.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "conf/option_value.h"
#include "os/builder_job.h"
#include "os/compile.h"
#include "os/log_ring.h"
#include "os/run_config.h"
#include "os/watch.h"

#define SHELL_NOT_FOUND \
	127 /* exit code of a shell whose last command isn't there: POSIX, XCU 2.8.2 */
#define BUILD_TIMEOUT_MS (30U * 60 * 1000) /* a first build fetches and compiles everything */

static _printf_(3, 4) int builder_fail(struct builder *b, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(b->why, sizeof b->why, fmt, ap);
	va_end(ap);
	return r;
}

/* NULL: there is no memory, and `why` says so. */
static struct builder_job *builder_make_job(
	struct builder *b, void (*run)(struct job *job), void (*done)(struct job *job))
{
	struct builder_job *j = builder_job_new(b->config.run, run, done, b);

	if (j)
		j->code.guest_program = b->config.guest_program;
	else
		(void)builder_fail(b, -ENOMEM, "there is not enough memory to look at the project");
	return j;
}

static void builder_on_swept(struct job *job)
{
}

/* "a/b" and "c" of "a/b/c"; an absolute path. */
static int builder_aim_at_file(struct builder *b, const char *path)
{
	char folder[PATH_MAX];
	size_t len = (size_t)(strrchr(path, '/') - path);
	const struct watch_target target = { .folder = folder, .file = path + len + 1 };

	if (snprintf(folder, sizeof folder, "%.*s", (int)max_u64(len, 1), path) >= PATH_MAX)
		return -ENAMETOOLONG;
	return watch_set(b->watch, &target);
}

static int builder_aim_at_folder(struct builder *b, const char *folder)
{
	const struct watch_target target = {
		.folder = b->plan.root ? b->plan.root : folder,
		.project = folder,
		.made = b->made ? b->made : b->plan.module,
		.dirs = &b->config.run->app.dirs,
	};

	return watch_set(b->watch, &target);
}

/* The file that runs is all that counts where nothing is built. Where there is nothing to be run,
 * anything may bring it. */
static int builder_aim(struct builder *b, const struct builder_job *j)
{
	if (!b->watch)
		return 0;
	if (j->detected && !b->plan.build)
		return builder_aim_at_file(b, b->plan.module);
	if (j->detected || j->folder)
		return builder_aim_at_folder(b, j->detected ? b->plan.folder : j->folder);
	return 0;
}

static void builder_on_changed(void *owner)
{
	struct builder *b = owner;

	b->events.changed(b->events.owner);
}

/* What is to be said behind a failure, for what the build itself has said. */
static const char *builder_hint(const struct builder *b, char ret_hint[LANGUAGE_HINT_MAX])
{
	const struct log_ring *ring = b->config.ring;
	uint64_t seq = max_u64(b->last.first_line, log_ring_first(ring));
	struct log_line line;

	for (; log_ring_get(ring, seq, &line); seq++)
		if (line.stream == LOG_STREAM_BUILD && language_lacks_sockets(line.text))
			return language_hint(LANGUAGE_C,
				LANGUAGE_FIRST_FD + (unsigned)b->config.run->app.dirs.count,
				ret_hint);
	return NULL;
}

/* What is said of the end of either child. 0: it has ended by itself, which its owner judges. */
static int builder_judge_child(struct builder *b, const char *what, uint64_t timeout_ms)
{
	char text[OPTION_DURATION_TEXT_MAX];

	if (b->canceled)
		return -ECANCELED;
	if (b->late) {
		option_format_duration(timeout_ms, text);
		return builder_fail(b, -ETIMEDOUT, "%s has not ended in %s", what, text);
	}
	return b->child.failed ? builder_fail(b, -EINVAL, "%s", b->child.why) : 0;
}

/* 0: it has ended well. Else the line of its end. */
static int builder_judge(struct builder *b, int status)
{
	char end[BUILDER_WHY_MAX / 4], hint_text[LANGUAGE_HINT_MAX];
	const char *hint;
	int r = builder_judge_child(b, "the build", BUILD_TIMEOUT_MS);

	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == APP_BUILD_LACKS && b->plan.tools)
		return builder_fail(b, -ENOENT, "%s", b->child.words);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SHELL_NOT_FOUND)
		return builder_fail(b, -ENOENT,
			"the build with '%s' needs a program that is not there: %s; install it "
			"first, and where it is in .venv or node_modules, make that",
			app_plan_builder(&b->plan), b->child.words);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		hint = builder_hint(b, hint_text);
		return builder_fail(b, -EINVAL, "the build with '%s' has failed: %s%s%s",
			app_plan_builder(&b->plan), child_describe_end(status, end, sizeof end),
			hint ? "; " : "", hint ? hint : "");
	}
	return 0;
}

/* What the build command writes is over. */
static void builder_build_ended(struct builder *b)
{
	if (b->watch && (b->phase == BUILDER_BUILDING || b->phase == BUILDER_TAKING))
		watch_build_ended(b->watch);
}

static void builder_note_end(struct builder *b, int r)
{
	if (!b->last.since_ms || b->last.over)
		return;
	b->last.over = true;
	b->last.result = r;
	b->last.duration_ms = clock_now_ms() - b->last.began_ms;
	b->last.next_line = log_ring_next(b->config.ring);
}

static void builder_done(struct builder *b, int r)
{
	builder_note_end(b, r);
	builder_build_ended(b);
	compile_deinit(&b->compile);
	b->phase = BUILDER_IDLE;
	b->events.done(b->events.owner, r);
}

static void builder_on_child_late(struct child *child)
{
	struct builder *b = child->owner;

	b->late = true;
	child_end(child);
}

static int builder_spawn(struct builder *b, const struct spawn_config *config, uint64_t timeout_ms)
{
	int r;

	b->late = b->kept = false;
	b->child.ring = b->config.ring;
	b->child.late = builder_on_child_late;
	b->child.owner = b;
	r = child_start(&b->child, b->config.loop, config, LOG_STREAM_BUILD, LOG_STREAM_BUILD);
	if (r < 0)
		return builder_fail(b, r, "%s", b->child.why);
	child_set_deadline(&b->child, timeout_ms);
	return 0;
}

static void builder_on_finished(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);
	struct builder *b = j->owner;

	b->job = NULL;
	b->plan.compiled = take_ptr(j->compile.entry);
	builder_done(b, j->result);
}

/* As the engine says it, which has said the same when it compiled what it was to serve. */
static int builder_judge_compiler(struct builder *b, int status)
{
	char end[BUILDER_WHY_MAX / 4];
	int r = builder_judge_child(b, "the compiler of the engine", COMPILE_TIMEOUT_MS);

	if (r < 0 || b->kept || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return r;
	if (*b->child.why)
		return builder_fail(b, -EINVAL, "%s", b->child.why);
	return builder_fail(b, -EINVAL, "it can't be compiled: %s%s%s",
		child_describe_end(status, end, sizeof end), *b->child.words ? ": " : "",
		b->child.words + strspn(b->child.words, " "));
}

static void builder_on_compiler_step(struct child *child)
{
	struct builder *b = child->owner;

	b->kept = true;
}

/* What it has left goes even where it has failed. */
static void builder_on_compiler_ended(struct child *child, int status)
{
	struct builder *b = child->owner;
	int r = builder_judge_compiler(b, status);

	if (r == -ECANCELED ||
		!(b->job = builder_make_job(b, builder_job_finish, builder_on_finished))) {
		builder_done(b, r < 0 ? r : -ENOMEM);
		return;
	}
	b->job->result = r;
	b->job->kept = r == 0 && b->kept;
	b->job->compile = b->compile;
	b->compile = (struct compile){ 0 };
	job_start(&b->line, &b->job->job);
}

/* What is to be run is there, and `compile` was prepared for it. */
static void builder_compile(struct builder *b)
{
	const struct spawn_config config = {
		.argv = (const char *const *)b->compile.run.argv.items,
		.env = (const char *const *)b->compile.run.env.items,
		.fds = b->compile.fds,
		.wall = b->compile.walled ? &b->compile.wall : NULL,
		.dir = b->plan.folder,
		.open_files = b->config.open_files,
	};
	int r = 0;

	b->compile.wall.threads = b->config.run->limits.max_threads;
	builder_build_ended(b);
	b->phase = BUILDER_COMPILING;
	if (b->compile.partial) {
		b->child.step = builder_on_compiler_step;
		b->child.ended = builder_on_compiler_ended;
		r = builder_spawn(b, &config, COMPILE_TIMEOUT_MS);
		if (r == 0)
			return;
	}
	b->plan.compiled = take_ptr(b->compile.entry);
	builder_done(b, r);
}

static void builder_take_code(struct builder *b, struct builder_job *j)
{
	b->compile = j->compile;
	j->compile = (struct compile){ 0 };
}

static void builder_on_taken(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);
	struct builder *b = j->owner;

	b->job = NULL;
	b->plan = j->plan;
	j->plan = (struct app_plan){ 0 };
	free(b->made);
	b->made = take_ptr(j->made);
	builder_take_code(b, j);
	if (j->result == 0)
		builder_compile(b);
	else if (j->taken)
		builder_done(b, builder_fail(b, j->result, "%s", j->why));
	else
		builder_done(
			b, builder_fail(b, -EINVAL, "the build with '%s' made nothing to run: %s",
				   app_plan_builder(&b->plan), j->why));
}

static void builder_on_child_ended(struct child *child, int status)
{
	struct builder *b = child->owner;
	int r = builder_judge(b, status);

	if (r == 0 && !(b->job = builder_make_job(b, builder_job_take, builder_on_taken)))
		r = -ENOMEM;
	if (r < 0) {
		builder_done(b, r);
		return;
	}
	b->phase = BUILDER_TAKING;
	b->job->plan = b->plan;
	b->plan = (struct app_plan){ 0 };
	job_start(&b->line, &b->job->job);
}

static int builder_build(struct builder *b)
{
	const struct spawn_config config = {
		.argv = (const char *const *)b->plan.build,
		.dir = b->plan.folder,
		.open_files = b->config.open_files,
	};

	b->last = (struct builder_last){ .since_ms = clock_wall_ms(),
		.began_ms = clock_now_ms(),
		.first_line = log_ring_next(b->config.ring) };
	b->child.step = NULL;
	b->child.ended = builder_on_child_ended;
	b->phase = BUILDER_BUILDING;
	/* Before anything of it runs: what changes from here on it may have missed. */
	if (b->watch)
		watch_build_began(b->watch);
	return builder_spawn(b, &config, BUILD_TIMEOUT_MS);
}

/* What the job has opened is the builder's now, and held until that is closed. */
static void builder_take_cache(struct builder *b, struct builder_job *j)
{
	struct builder_job *sweep;

	if (b->cache_dir)
		return;
	b->cache_dir = take_ptr(j->cache_dir);
	b->cache_lock = take_fd(&j->cache_lock);
	sweep = b->cache_lock >= 0 ? builder_make_job(b, builder_job_sweep, builder_on_swept)
				   : NULL;
	if (!sweep)
		return;
	sweep->cache_dir = strdup(b->cache_dir);
	if (sweep->cache_dir)
		job_start(&b->sweeping, &sweep->job);
	else
		builder_job_free(&sweep->job);
}

static void builder_aimed(struct builder *b)
{
	int r = b->detected;

	if (r == 0 && !b->plan.build) {
		builder_compile(b);
		return;
	}
	if (r == 0)
		r = builder_build(b);
	if (r < 0) {
		builder_done(b, r);
		return;
	}
	b->events.building(b->events.owner);
}

static void builder_on_watching(void *owner)
{
	struct builder *b = owner;

	if (b->phase == BUILDER_AIMING && !b->canceled)
		builder_aimed(b);
}

static void builder_on_detected(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);
	struct builder *b = j->owner;
	int r = j->result;

	b->job = NULL;
	builder_take_cache(b, j);
	builder_take_code(b, j);
	b->plan = j->plan;
	j->plan = (struct app_plan){ 0 };
	b->kind = b->plan.kind;
	if (r < 0)
		(void)builder_fail(b, r, "%s", j->why);
	b->detected = r;
	b->phase = BUILDER_AIMING;
	if (builder_aim(b, j) != WATCH_WALKS)
		builder_aimed(b);
}

void builder_init(
	struct builder *b, const struct builder_config *config, const struct builder_events *events)
{
	int r = 0;

	*b = (struct builder){ .config = *config, .events = *events, .cache_lock = -1 };
	job_line_init(&b->line, config->loop);
	job_line_init(&b->sweeping, config->loop);
	(void)uv_idle_init(config->loop, &b->canceled_turn);
	b->canceled_turn.data = b;
	if (config->run->watch)
		r = watch_new(config->loop,
			&(struct watch_events){ .changed = builder_on_changed,
				.watching = builder_on_watching,
				.owner = b },
			&b->watch);
	if (r < 0)
		log_warn("app", "can't watch the project, a change needs a restart: %s",
			r == -EMFILE ? "raise fs.inotify.max_user_instances (sysctl)"
				     : strerror(-r));
}

int builder_start(struct builder *b)
{
	struct builder_job *j = builder_make_job(b, builder_job_detect, builder_on_detected);

	assert(!builder_runs(b));
	app_plan_clear(&b->plan);
	if (!j)
		return -ENOMEM;
	if (b->cache_dir && !(j->cache_dir = strdup(b->cache_dir))) {
		builder_job_free(&j->job);
		return builder_fail(b, -ENOMEM, "%s", strerror(ENOMEM));
	}
	b->phase = BUILDER_DETECTING;
	b->canceled = false;
	b->job = j;
	job_start(&b->line, &j->job);
	return 0;
}

static void builder_on_canceled_turn(uv_idle_t *idle)
{
	(void)uv_idle_stop(idle);
	builder_done(idle->data, -ECANCELED);
}

/* False: `done` follows the end of the child, or nothing runs. */
static bool builder_give_up(struct builder *b)
{
	b->canceled = true;
	if (b->phase == BUILDER_IDLE || child_runs(&b->child))
		return false;
	if (b->job)
		job_drop(&take_ptr(b->job)->job);
	(void)uv_idle_start(&b->canceled_turn, builder_on_canceled_turn);
	return true;
}

void builder_end(struct builder *b)
{
	if (!builder_give_up(b))
		child_end(&b->child);
}

void builder_kill(struct builder *b)
{
	if (!builder_give_up(b))
		child_kill(&b->child);
}

bool builder_runs(const struct builder *b)
{
	return b->phase != BUILDER_IDLE;
}

bool builder_builds(const struct builder *b)
{
	return b->phase == BUILDER_BUILDING || b->phase == BUILDER_TAKING ||
	       (b->phase == BUILDER_COMPILING && b->plan.build);
}

const char *builder_kind(const struct builder *b)
{
	return b->kind;
}

void builder_take_plan(struct builder *b, struct app_plan *plan)
{
	app_plan_clear(plan);
	*plan = b->plan;
	b->plan = (struct app_plan){ 0 };
}

int builder_check(struct builder *b, const struct app_plan *plan, enum app_interface *ret_interface,
	char ret_why[APP_WHY_MAX])
{
	const struct os_app_config *app = &b->config.run->app;
	enum app_interface interface = plan->info.interface;
	char hint[MODULE_HINT_MAX];

	if (app->has_kind)
		interface = (enum app_interface)app->kind;
	*ret_interface = interface;
	/* Once: what a change makes of it is of the same kind. */
	if (interface == APP_CGI && !app->has_kind && !b->told_cgi) {
		log_info("app", "%s",
			module_hint(&plan->info, interface,
				LANGUAGE_FIRST_FD + (unsigned)app->dirs.count, hint));
		b->told_cgi = true;
	}
	if (interface != APP_FILES && (app->fallback || app->headers.count)) {
		snprintf(ret_why, APP_WHY_MAX,
			"--fallback and --header are for a folder of files (static), not for '%s'",
			app_interface_words[interface]);
		return -EINVAL;
	}
	return 0;
}

static void builder_on_looked(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);
	struct builder *b = j->owner;

	b->look = NULL;
	if (j->result < 0)
		(void)builder_fail(b, j->result, "%s", j->why);
	b->events.looked(b->events.owner, j->result, &j->plan.info);
}

int builder_look(struct builder *b, const struct app_plan *plan)
{
	struct builder_job *j;

	if (b->look)
		return 0;
	j = builder_make_job(b, builder_job_look, builder_on_looked);
	if (!j)
		return -ENOMEM;
	j->plan.module = strdup(app_plan_file(plan));
	if (!j->plan.module) {
		builder_job_free(&j->job);
		return builder_fail(b, -ENOMEM, "%s", strerror(ENOMEM));
	}
	b->look = j;
	job_start(&b->line, &j->job);
	return 0;
}

void builder_forget_look(struct builder *b)
{
	if (b->look)
		job_drop(&take_ptr(b->look)->job);
}

const char *builder_why(const struct builder *b)
{
	return b->why;
}

static void builder_on_turn_closed(uv_handle_t *handle)
{
	struct builder *b = handle->data;

	if (b->watch)
		watch_close(b->watch, b->closed, b->events.owner);
	else
		b->closed(b->events.owner);
}

void builder_close(struct builder *b, void (*closed)(void *owner))
{
	b->closed = closed;
	job_line_close(&b->line);
	job_line_close(&b->sweeping);
	app_plan_clear(&b->plan);
	compile_deinit(&b->compile);
	free(take_ptr(b->cache_dir));
	b->cache_lock = fd_close(b->cache_lock);
	free(take_ptr(b->made));
	uv_close((uv_handle_t *)&b->canceled_turn, builder_on_turn_closed);
}
