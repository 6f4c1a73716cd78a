/* SPDX-License-Identifier: MIT */
#include "os/builder_job.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "app/artefact.h"
#include "app/build_cache.h"
#include "app/cache_dir.h"
#include "app/toolchain.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "os/run_config.h"

void builder_job_free(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);

	app_plan_clear(&j->plan);
	compile_deinit(&j->compile);
	free(j->folder);
	free(j->cache_dir);
	(void)fd_close(j->cache_lock);
	free(j->made);
	free(j);
}

struct builder_job *builder_job_new(const struct os_run_config *run_config,
	void (*run)(struct job *job), void (*done)(struct job *job), void *owner)
{
	const struct os_app_config *app = &run_config->app;
	struct builder_job *j = calloc(1, sizeof *j);

	if (!j)
		return NULL;
	*j = (struct builder_job){
		.job = { .run = run, .done = done, .free = builder_job_free },
		.owner = owner,
		.project = run_config->project_path,
		.overrides = {
			.build = app->build,
			.wasm = app->wasm,
			.files = app->has_kind && app->kind == APP_FILES,
		},
		.code = {
			.project = run_config->project_path,
			.interface = (enum app_interface)app->kind,
			.quick = run_config->watch,
			.no_isolation = run_config->no_isolation,
		},
		.has_kind = app->has_kind,
		.cache_lock = -1,
	};
	return j;
}

void builder_job_sweep(struct job *job)
{
	build_cache_sweep(container_of(job, struct builder_job, job)->cache_dir);
}

/* Of what is to be run, when that is there. */
static void builder_job_find_code(struct builder_job *j)
{
	j->code.module = app_plan_file(&j->plan);
	if (!j->has_kind)
		j->code.interface = j->plan.info.interface;
	j->result = compile_prepare(&j->compile, &j->code, j->why);
}

/* The cache is opened once. One that can't be held is used all the same. */
void builder_job_detect(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);
	struct stat st;

	if (!j->cache_dir) {
		j->result = cache_dir_make("build", &j->cache_dir, j->why);
		if (j->result == 0)
			(void)build_cache_open(j->cache_dir, &j->cache_lock);
	}
	if (j->result == 0)
		j->result = app_detect(j->project, &j->overrides, j->cache_dir, &j->plan, j->why);
	j->detected = j->result == 0;
	if (!j->detected && (j->folder = realpath(j->project, NULL)) &&
		(stat(j->folder, &st) < 0 || !S_ISDIR(st.st_mode)))
		free(take_ptr(j->folder));
	if (j->result == 0 && j->plan.build)
		j->result = toolchain_check(&j->plan, j->why);
	else if (j->result == 0)
		j->result = module_inspect(app_plan_file(&j->plan), &j->plan.info, j->why);
	if (j->result == 0 && !j->plan.build)
		builder_job_find_code(j);
}

void builder_job_take(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);

	j->result = artefact_take(&j->plan, &job->dropped, &j->made, j->why);
	j->taken = j->result == 0;
	if (j->taken)
		builder_job_find_code(j);
}

void builder_job_finish(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);

	compile_finish(&j->compile, j->kept);
}

void builder_job_look(struct job *job)
{
	struct builder_job *j = container_of(job, struct builder_job, job);

	j->result = module_inspect(j->plan.module, &j->plan.info, j->why);
}
