/* SPDX-License-Identifier: MIT */
/*
 * A job is in its line's list from job_start() until job_on_ended(), or until it is freed because
 * it was dropped before it began. Only the first in the list is in libuv's hands. A job whose line
 * was closed belongs to libuv alone.
 */
#include "os/job.h"

#include "base/lang.h"

static void job_on_run(uv_work_t *work)
{
	struct job *job = container_of(work, struct job, work);

	if (!job->dropped)
		job->run(job);
}

static void job_on_ended(uv_work_t *work, int status);

static void job_line_next(struct job_line *line)
{
	struct list *first = list_first(&line->jobs);

	/* It fails only without a function to call. */
	if (first)
		(void)uv_queue_work(line->loop, &list_entry(first, struct job, link)->work,
			job_on_run, job_on_ended);
}

static void job_on_ended(uv_work_t *work, int status)
{
	struct job *job = container_of(work, struct job, work);

	list_remove(&job->link);
	if (job->line)
		job_line_next(job->line);
	if (!job->dropped)
		job->done(job);
	job->free(job);
}

void job_line_init(struct job_line *line, uv_loop_t *loop)
{
	line->loop = loop;
	list_init(&line->jobs);
}

void job_line_close(struct job_line *line)
{
	struct list *first = list_first(&line->jobs);

	if (!first)
		return;
	while (first->next != &line->jobs)
		job_drop(list_entry(first->next, struct job, link));
	list_entry(first, struct job, link)->dropped = true;
	list_entry(first, struct job, link)->line = NULL;
	list_remove(first);
}

void job_start(struct job_line *line, struct job *job)
{
	bool idle = list_empty(&line->jobs);

	job->line = line;
	list_push_back(&line->jobs, &job->link);
	if (idle)
		job_line_next(line);
}

void job_drop(struct job *job)
{
	if (!job)
		return;
	job->dropped = true;
	if (!job->line || list_first(&job->line->jobs) == &job->link)
		return;
	list_remove(&job->link);
	job->free(job);
}
