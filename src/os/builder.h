/* SPDX-License-Identifier: MIT */
/*
 * From the project to what can be run: detects, builds, compiles, checks, without holding up the
 * loop. With --watch it also tells when the project has changed since the last build began.
 */
#ifndef OS_BUILDER_H
#define OS_BUILDER_H

#include <stdbool.h>
#include <uv.h>

#include "app/module.h"
#include "app/plan.h"
#include "os/builder_last.h"
#include "os/child.h"
#include "os/compile.h"
#include "os/job.h"

struct builder_job;
struct log_ring;
struct os_run_config;
struct watch;

#define BUILDER_WHY_MAX 640

/* Never from within a call of the owner's. */
struct builder_events {
	/* The build command runs: builder_kind(). */
	void (*building)(void *owner);
	/* 0: builder_take_plan(); -ECANCELED: it was given up; another one: builder_why(). */
	void (*done)(void *owner, int r);
	/* 0, and what the module is now; a negative errno: builder_why(). */
	void (*looked)(void *owner, int r, const struct module_info *info);
	void (*changed)(void *owner);
	void *owner;
};

struct builder_config {
	uv_loop_t *loop;
	const struct os_run_config *run; /* outlives the builder */
	struct log_ring *ring;
	const char *guest_program; /* NULL: the `wasmrun-guest` beside this program */
	uint64_t open_files;       /* RLIMIT_NOFILE for its children; 0: as ours */
};

enum builder_phase {
	BUILDER_IDLE,
	BUILDER_DETECTING, /* a job */
	BUILDER_AIMING,    /* --watch: until the project's folders are watched */
	BUILDER_BUILDING,  /* the command runs */
	BUILDER_TAKING,    /* a job: what the command has made */
	BUILDER_COMPILING, /* the engine compiles that (os/compile.h), and a job keeps it */
};

/* Embedded in its owner. */
struct builder {
	struct builder_config config;
	struct builder_events events;
	enum builder_phase phase;
	struct job_line line;     /* of `job` and `look` */
	struct job_line sweeping; /* removes what is old in the cache, which may take long */
	struct builder_job *job;  /* of the phase; NULL: it needs none, or was given up */
	struct builder_job *look; /* NULL: none is under way */
	struct child child;       /* of BUILDER_BUILDING and BUILDER_COMPILING */
	struct compile compile;   /* of BUILDER_COMPILING */
	uv_idle_t canceled_turn;  /* `done` follows a job that was given up, on the next turn */
	int detected;             /* in BUILDER_AIMING: the result before; 0 or negative errno */
	bool canceled;            /* what runs was given up */
	bool late, kept;          /* the child is; the compiled code is */
	bool told_cgi;            /* that the module is taken for CGI */
	const char *kind;         /* of the plan that was made last, the word for people */
	struct app_plan plan;     /* that one, until it is taken; a job's meanwhile */
	char *made;               /* where the last build has left what it made; owned, or NULL */
	char *cache_dir;          /* owned; NULL until the first start */
	int cache_lock;           /* holds that; -1: none */
	struct watch *watch;      /* NULL without --watch */
	struct builder_last last;
	char why[BUILDER_WHY_MAX];
	void (*closed)(void *owner);
};

void builder_init(struct builder *b, const struct builder_config *config,
	const struct builder_events *events);

/* Not while it runs. 0: `done` follows; before it, if there is a build, `building`. -ENOMEM. */
int builder_start(struct builder *b);

/* Gives it up; `done` follows. Harmless when none runs. builder_kill() has SIGKILL for a child. */
void builder_end(struct builder *b);
void builder_kill(struct builder *b);

/* Until `done`: from builder_start(), from `building`. */
bool builder_runs(const struct builder *b);
bool builder_builds(const struct builder *b);

/* Of what is built, or was. */
const char *builder_kind(const struct builder *b);

/* Clears *plan, and moves ours there. */
void builder_take_plan(struct builder *b, struct app_plan *plan);

/* How what runs by that plan takes its visitors. Negative errno: it can't be run, and ret_why says
 * why in one line. */
int builder_check(struct builder *b, const struct app_plan *plan, enum app_interface *ret_interface,
	char ret_why[APP_WHY_MAX]);

/* Looks again at what was built, for it may be gone, or another by now: `looked` follows. A second
 * one joins the first. -ENOMEM. */
int builder_look(struct builder *b, const struct app_plan *plan);

/* `looked` doesn't follow any more. */
void builder_forget_look(struct builder *b);

/* What is wrong, in one line. */
const char *builder_why(const struct builder *b);

/* Not while a child runs. `closed` follows. */
void builder_close(struct builder *b, void (*closed)(void *owner));

#endif
