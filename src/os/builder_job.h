/* SPDX-License-Identifier: MIT */
/*
 * What a builder does with the user's files, as jobs (os/job.h): each has copies of what it needs,
 * and owns what it makes until the builder takes that.
 */
#ifndef OS_BUILDER_JOB_H
#define OS_BUILDER_JOB_H

#include <stdbool.h>

#include "app/detect.h"
#include "app/module.h"
#include "app/plan.h"
#include "os/compile.h"
#include "os/job.h"

struct os_run_config;

/* What a job needs and makes: it outlives the builder. */
struct builder_job {
	struct job job;
	void *owner; /* the loop's alone */
	/* What is asked for; the texts outlive the loop. */
	const char *project;
	struct app_overrides overrides;
	struct compile_config code;
	bool has_kind; /* of `code`: else as found out */
	bool kept;     /* by the run of `compile` */
	/* What is made; all is owned. */
	struct app_plan plan;
	struct compile compile;
	bool detected, taken;
	char *folder;    /* the project's, where nothing was detected; NULL: it is no folder */
	char *cache_dir; /* of builds */
	int cache_lock;  /* that this job has taken; -1: none */
	char *made;
	int result; /* 0, or a negative errno, and `why` has the line */
	char why[APP_WHY_MAX];
};

/* `run` is one of those below. NULL: there is no memory. */
struct builder_job *builder_job_new(const struct os_run_config *run_config,
	void (*run)(struct job *job), void (*done)(struct job *job), void *owner);

/* Finds what is in the folder, what that needs, and the code of what isn't to be built. */
void builder_job_detect(struct job *job);
/* Takes what the build command has made, and finds the code of that. */
void builder_job_take(struct job *job);
/* The compiler has ended. */
void builder_job_finish(struct job *job);
/* Looks again at what was built. */
void builder_job_look(struct job *job);
/* Removes what is old in the cache. */
void builder_job_sweep(struct job *job);

void builder_job_free(struct job *job);

#endif
