/* SPDX-License-Identifier: MIT */
/*
 * From the project to what can be run: detects, builds, checks. One build runs at a time. With
 * --watch it also tells when the project has changed since the last build began.
 */
#ifndef OS_BUILDER_H
#define OS_BUILDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "app/module.h"
#include "app/plan.h"
#include "os/child.h"

struct builder;
struct log_ring;
struct os_run_config;
struct watch;

#define BUILDER_WHY_MAX 640

enum builder_condition {
	BUILDER_RUNS = 1, /* the build command runs, `done` follows */
};

/* Never from within a call of the owner's. */
struct builder_events {
	/* 0: builder_take_plan(); -ECANCELED: builder_end() was called; another negative errno:
	 * builder_why(). */
	void (*done)(void *owner, int r);
	void (*changed)(void *owner);
	void *owner;
};

struct builder_config {
	uv_loop_t *loop;
	const struct os_run_config *run; /* outlives the builder */
	struct log_ring *ring;
	uint64_t open_files; /* RLIMIT_NOFILE for the build; 0: as ours */
};

/* Embedded in its owner. */
struct builder {
	struct builder_config config;
	struct builder_events events;
	struct app_plan plan; /* the last one that was made, until it is taken */
	struct child child;   /* the build command */
	/* What it has made is fetched and looked at in a thread, which may be a while; the plan is
	 * that thread's meanwhile. */
	uv_work_t finish;
	bool finishing;
	int finish_result;
	char *finish_made; /* owned */
	char finish_why[APP_WHY_MAX];
	atomic_bool canceled; /* of the build and of that */
	bool late;
	bool told_cgi;       /* that the module is taken for CGI */
	char *made;          /* where the last build has left what it made; owned, may be NULL */
	char *cache_dir;     /* owned; NULL until the first start */
	int cache_lock;      /* holds that; -1: none */
	struct watch *watch; /* NULL without --watch */
	uint64_t first_line; /* of what the build says, in the log */
	char why[BUILDER_WHY_MAX];
};

void builder_init(struct builder *b, const struct builder_config *config,
	const struct builder_events *events);

/* Not while a build runs. 0: nothing had to be built, the plan can be taken. BUILDER_RUNS. A
 * negative errno: builder_why(). */
int builder_start(struct builder *b);

/* Ends the build; `done` follows. Harmless when none runs. */
void builder_end(struct builder *b);
/* The same, with SIGKILL. */
void builder_kill(struct builder *b);

bool builder_runs(const struct builder *b);

/* What is built or was, until it is taken; empty where nothing was detected. */
const struct app_plan *builder_plan(const struct builder *b);

/* Clears *plan, and moves ours there. */
void builder_take_plan(struct builder *b, struct app_plan *plan);

/*
 * How what runs by that plan takes its visitors. Negative errno: it can't be run, and ret_why says
 * why in one line.
 */
int builder_check(struct builder *b, const struct app_plan *plan, enum app_interface *ret_interface,
	char ret_why[APP_WHY_MAX]);

/* What is wrong, in one line. */
const char *builder_why(const struct builder *b);

/* Not while a build runs. `closed` follows, without --watch from within. */
void builder_close(struct builder *b, void (*closed)(void *owner));

#endif
