/* SPDX-License-Identifier: MIT */
/* The plan is detected anew each time: what is in the folder may have changed. */
#include "os/builder.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "app/build.h"
#include "app/build_cache.h"
#include "app/detect.h"
#include "app/language.h"
#include "app/rule.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "conf/option_value.h"
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

/* What is too old in the cache is removed in a thread, whatever becomes of the builder. */
struct sweep {
	uv_work_t work;
	char *dir; /* owned */
};

static void on_sweep(uv_work_t *work)
{
	build_cache_sweep(((struct sweep *)work->data)->dir);
}

static void on_swept(uv_work_t *work, int status)
{
	struct sweep *sweep = work->data;

	free(sweep->dir);
	free(sweep);
}

static void builder_sweep(struct builder *b)
{
	struct sweep *sweep = calloc(1, sizeof *sweep);

	if (!sweep)
		return;
	sweep->work.data = sweep;
	sweep->dir = strdup(b->cache_dir);
	if (!sweep->dir || uv_queue_work(b->config.loop, &sweep->work, on_sweep, on_swept) < 0)
		on_swept(&sweep->work, 0);
}

/* Once. A cache that can't be held is used all the same. */
static int builder_open_cache(struct builder *b, char why[APP_WHY_MAX])
{
	int r = app_cache_dir("build", &b->cache_dir, why);

	if (r == 0 && build_cache_open(b->cache_dir, &b->cache_lock) == 0)
		builder_sweep(b);
	return r;
}

static int builder_detect(struct builder *b)
{
	const struct os_app_config *app = &b->config.run->app;
	const struct app_overrides overrides = {
		.build = app->build,
		.wasm = app->wasm,
		.files = app->has_kind && app->kind == APP_FILES,
	};
	char why[APP_WHY_MAX];
	int r = 0;

	app_plan_clear(&b->plan);
	if (!b->cache_dir)
		r = builder_open_cache(b, why);
	if (r == 0)
		r = app_detect(
			b->config.run->project_path, &overrides, b->cache_dir, &b->plan, why);
	return r < 0 ? builder_fail(b, r, "%s", why) : 0;
}

/* "a/b" and "c" of "a/b/c"; an absolute path. */
static void builder_aim_at_file(struct builder *b, const char *path)
{
	char folder[PATH_MAX];
	size_t len = (size_t)(strrchr(path, '/') - path);
	const struct watch_target target = { .folder = folder, .file = path + len + 1 };

	if (snprintf(folder, sizeof folder, "%.*s", (int)max_u64(len, 1), path) < PATH_MAX)
		(void)watch_set(b->watch, &target);
}

static void builder_aim_at_folder(struct builder *b, const char *folder)
{
	const struct watch_target target = {
		.folder = b->plan.root ? b->plan.root : folder,
		.project = folder,
		.made = b->made ? b->made : b->plan.module,
		.dirs = &b->config.run->app.dirs,
	};

	(void)watch_set(b->watch, &target);
}

/* The file that runs is all that counts where nothing is built. Where there is nothing to be run,
 * anything may bring it. */
static void builder_aim(struct builder *b, bool detected)
{
	char path[PATH_MAX];
	struct stat st;

	if (!b->watch)
		return;
	if (detected && !b->plan.build)
		builder_aim_at_file(b, b->plan.module);
	else if (detected)
		builder_aim_at_folder(b, b->plan.folder);
	else if (realpath(b->config.run->project_path, path) && stat(path, &st) == 0 &&
		 S_ISDIR(st.st_mode))
		builder_aim_at_folder(b, path);
}

static void on_changed(void *owner)
{
	struct builder *b = owner;

	b->events.changed(b->events.owner);
}

void builder_init(
	struct builder *b, const struct builder_config *config, const struct builder_events *events)
{
	int r = 0;

	*b = (struct builder){ .config = *config, .events = *events, .cache_lock = -1 };
	if (config->run->watch)
		r = watch_new(config->loop, on_changed, b, &b->watch);
	if (r < 0)
		log_warn("app", "can't watch the project, a change needs a restart: %s",
			r == -EMFILE ? "raise fs.inotify.max_user_instances (sysctl)"
				     : strerror(-r));
}

/* What is to be said behind a failure, for what the build itself has said. */
static const char *builder_hint(const struct builder *b, char ret_hint[LANGUAGE_HINT_MAX])
{
	const struct log_ring *ring = b->config.ring;
	uint64_t seq = max_u64(b->first_line, log_ring_first(ring));
	struct log_line line;

	for (; log_ring_get(ring, seq, &line); seq++)
		if (line.stream == LOG_STREAM_BUILD && language_lacks_sockets(line.text))
			return language_hint(LANGUAGE_C,
				LANGUAGE_FIRST_FD + (unsigned)b->config.run->app.dirs.count,
				ret_hint);
	return NULL;
}

/* 0: it has ended well. Else the line of its end. */
static int builder_judge(struct builder *b, int status)
{
	char end[BUILDER_WHY_MAX / 4], text[OPTION_DURATION_TEXT_MAX];
	char hint_text[LANGUAGE_HINT_MAX];
	const char *hint;

	if (b->canceled)
		return builder_fail(b, -ECANCELED, "the build was stopped");
	if (b->late) {
		option_format_duration(BUILD_TIMEOUT_MS, text);
		return builder_fail(b, -ETIMEDOUT, "the build has not ended in %s", text);
	}
	if (b->child.failed)
		return builder_fail(b, -EINVAL, "%s", b->child.why);
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

static void builder_done(struct builder *b, int r)
{
	if (b->watch)
		watch_build_ended(b->watch);
	b->events.done(b->events.owner, r);
}

/* In a thread. */
static void on_finish(uv_work_t *work)
{
	struct builder *b = work->data;

	b->finish_result = app_build_finish(&b->plan, &b->canceled, &b->finish_made, b->finish_why);
}

static void on_finished(uv_work_t *work, int status)
{
	struct builder *b = work->data;
	int r = b->finish_result;

	b->finishing = false;
	free(b->made);
	b->made = take_ptr(b->finish_made);
	if (b->canceled)
		r = builder_fail(b, -ECANCELED, "the build was stopped");
	else if (r < 0)
		r = builder_fail(b, -EINVAL, "the build with '%s' made nothing to run: %s",
			app_plan_builder(&b->plan), b->finish_why);
	builder_done(b, r);
}

static void on_child_ended(struct child *child, int status)
{
	struct builder *b = child->owner;
	int r = builder_judge(b, status);

	if (r == 0) {
		b->finish.data = b;
		r = uv_queue_work(b->config.loop, &b->finish, on_finish, on_finished);
		b->finishing = r == 0;
		if (r < 0)
			(void)builder_fail(b, r, "can't look at what was built: %s", strerror(-r));
	}
	if (!b->finishing)
		builder_done(b, r);
}

static void on_child_late(struct child *child)
{
	struct builder *b = child->owner;

	b->late = true;
	child_end(child);
}

static int builder_spawn(struct builder *b)
{
	const struct spawn_config config = {
		.argv = (const char *const *)b->plan.build,
		.dir = b->plan.folder,
		.open_files = b->config.open_files,
	};
	int r;

	b->first_line = log_ring_next(b->config.ring);
	b->child.ring = b->config.ring;
	b->child.late = on_child_late;
	b->child.ended = on_child_ended;
	b->child.owner = b;
	r = child_start(&b->child, b->config.loop, &config, LOG_STREAM_BUILD, LOG_STREAM_BUILD);
	if (r < 0)
		return builder_fail(b, r, "%s", b->child.why);
	child_set_deadline(&b->child, BUILD_TIMEOUT_MS);
	if (b->watch)
		watch_build_began(b->watch);
	return BUILDER_RUNS;
}

int builder_start(struct builder *b)
{
	char why[APP_WHY_MAX];
	int r;

	assert(!builder_runs(b));
	r = builder_detect(b);
	b->canceled = b->late = false;
	builder_aim(b, r == 0);
	if (r < 0 || !b->plan.build)
		return r;
	r = app_build_check(&b->plan, why);
	return r < 0 ? builder_fail(b, r, "%s", why) : builder_spawn(b);
}

void builder_end(struct builder *b)
{
	b->canceled = builder_runs(b);
	child_end(&b->child);
}

void builder_kill(struct builder *b)
{
	b->canceled = builder_runs(b);
	child_kill(&b->child);
}

bool builder_runs(const struct builder *b)
{
	return child_runs(&b->child) || b->finishing;
}

const struct app_plan *builder_plan(const struct builder *b)
{
	return &b->plan;
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
	const char *module = app_plan_file(plan);
	enum app_interface interface = APP_LISTENER;
	char hint[MODULE_HINT_MAX];
	int r = module_check(module, &interface, ret_why);

	if (r < 0)
		return r;
	if (app->has_kind)
		interface = (enum app_interface)app->kind;
	*ret_interface = interface;
	/* Once: what a change makes of it is of the same kind. */
	if (interface == APP_CGI && !app->has_kind && !b->told_cgi) {
		log_info("app", "%s",
			module_hint(module, LANGUAGE_FIRST_FD + (unsigned)app->dirs.count, hint));
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

const char *builder_why(const struct builder *b)
{
	return b->why;
}

void builder_close(struct builder *b, void (*closed)(void *owner))
{
	app_plan_clear(&b->plan);
	free(take_ptr(b->cache_dir));
	b->cache_lock = fd_close(b->cache_lock);
	free(take_ptr(b->made));
	if (b->watch)
		watch_close(b->watch, closed, b->events.owner);
	else
		closed(b->events.owner);
}
