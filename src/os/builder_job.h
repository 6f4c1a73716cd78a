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
#include "os/job.h"

struct os_run_config;

struct builder_job {
	struct job job;
	void *owner; /* the loop's alone */
	/* What is asked for; the texts outlive the loop. */
	const char *project;
	struct app_overrides overrides;
	/* What is made; all is owned. */
	struct app_plan plan;
	bool detected;
	char *folder;    /* the project's, where nothing was detected; NULL: it is no folder */
	char *cache_dir; /* of builds */
	int cache_lock;  /* that this job has taken; -1: none */
	char *made;      /* where a build has left what it made; NULL: not known */
	int result;      /* 0 or negative errno; then `why` has a line */
	char why[APP_WHY_MAX];
};

/* `run` is one of those below, `done` that of struct job. NULL: out of memory. */
struct builder_job *builder_job_new(const struct os_run_config *run_config,
	void (*run)(struct job *job), void (*done)(struct job *job), void *owner);

/* Of one that was not started. */
void builder_job_free(struct job *job);

/* Finds out what is in the project and whether what builds it is there, or what the module is.
 * Without `cache_dir` that is opened, too; one that can't be held is used all the same. */
void builder_job_detect(struct job *job);

/* Takes what the build command of `plan` has made. */
void builder_job_take(struct job *job);

/* What plan.module is now. */
void builder_job_look(struct job *job);

/* Removes what is old in `cache_dir`, which may take long. */
void builder_job_sweep(struct job *job);

#endif
