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
#include "app/detect.h"
#include "app/rule.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/option_value.h"
#include "os/process.h"
#include "os/run_config.h"
#include "os/supervisor_state.h"
#include "os/watch.h"

#define BUILD_TIMEOUT_MS (30U * 60 * 1000) /* a first build fetches and compiles everything */

static _printf_(3, 4) int builder_fail(struct builder *b, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(b->why, sizeof b->why, fmt, ap);
	va_end(ap);
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
		r = app_cache_dir("build", &b->cache_dir, why);
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
		.folder = folder, .made = b->plan.module, .dirs = &b->config.run->app.dirs
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

	*b = (struct builder){ .config = *config, .events = *events };
	if (config->run->watch)
		r = watch_new(config->loop, on_changed, b, &b->watch);
	if (r < 0)
		log_warn("app", "can't watch the project, a change needs a restart: %s",
			r == -EMFILE ? "raise fs.inotify.max_user_instances (sysctl)"
				     : strerror(-r));
}

/* The line of an end that is not content. */
static int builder_judge(struct builder *b, const struct process *p, int status)
{
	char end[BUILDER_WHY_MAX / 4], why[APP_WHY_MAX], text[OPTION_DURATION_TEXT_MAX];
	const char *program = app_plan_builder(&b->plan);

	if (b->canceled)
		return builder_fail(b, -ECANCELED, "the build was stopped");
	if (b->late) {
		option_format_duration(BUILD_TIMEOUT_MS, text);
		return builder_fail(b, -ETIMEDOUT, "the build has not ended in %s", text);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == APP_BUILD_LACKS && b->plan.tools)
		return builder_fail(b, -ENOENT, "%s", process_last_words(p));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return builder_fail(b, -EINVAL, "the build with '%s' has failed: %s", program,
			supervisor_describe_end(status, end, sizeof end));
	if (app_build_finish(&b->plan, why) < 0)
		return builder_fail(
			b, -EINVAL, "the build with '%s' made nothing to run: %s", program, why);
	return 0;
}

static void on_process_ended(void *owner, struct process *p, int status)
{
	struct builder *b = owner;
	int r = builder_judge(b, p, status);

	b->process = NULL;
	if (b->watch)
		watch_build_ended(b->watch);
	b->events.done(b->events.owner, r);
}

static void on_process_late(void *owner, struct process *p)
{
	struct builder *b = owner;

	b->late = true;
}

static int builder_spawn(struct builder *b)
{
	const struct process_config config = {
		.spawn = {
			.argv = (const char *const *)b->plan.build,
			.dir = b->plan.folder,
			.listen_fd = -1,
			.open_files = b->config.open_files,
		},
		.out = LOG_STREAM_BUILD,
		.err = LOG_STREAM_BUILD,
		.deadline_ms = BUILD_TIMEOUT_MS,
		.ring = b->config.ring,
	};
	const struct process_events events = {
		.late = on_process_late, .ended = on_process_ended, .owner = b
	};
	int r = process_start(b->config.loop, &config, &events, &b->process);

	if (r < 0) {
		process_explain(&config.spawn, r, b->why, sizeof b->why);
		return r;
	}
	if (b->watch)
		watch_build_began(b->watch);
	return BUILDER_RUNS;
}

int builder_start(struct builder *b)
{
	char why[APP_WHY_MAX];
	int r = builder_detect(b);

	assert(!b->process);
	b->canceled = b->late = false;
	builder_aim(b, r == 0);
	if (r < 0 || !b->plan.build)
		return r;
	r = app_build_check(&b->plan, why);
	return r < 0 ? builder_fail(b, r, "%s", why) : builder_spawn(b);
}

void builder_end(struct builder *b)
{
	b->canceled = b->process != NULL;
	process_end(b->process);
}

void builder_kill(struct builder *b)
{
	b->canceled = b->process != NULL;
	process_kill(b->process);
}

bool builder_runs(const struct builder *b)
{
	return b->process != NULL;
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

const char *builder_why(const struct builder *b)
{
	return b->why;
}

void builder_close(struct builder *b, void (*closed)(void *owner))
{
	app_plan_clear(&b->plan);
	free(take_ptr(b->cache_dir));
	if (b->watch)
		watch_close(b->watch, closed, b->events.owner);
	else
		closed(b->events.owner);
}
