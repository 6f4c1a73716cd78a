/* SPDX-License-Identifier: MIT */
/*
 * A watch of that one file tells that it has changed; a job reads it, because it may be on a file
 * system that doesn't answer; on the loop what was read becomes a policy.
 *
 * Only a change of what [os.network] says is one: a policy that the API has set isn't lost because
 * somebody has edited another part of the file.
 */
#include "os/network_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "os/job.h"
#include "os/network.h"
#include "os/run_config.h"
#include "os/tree.h"
#include "os/watch.h"

#define LOG "watch"

struct network_watch {
	const struct os_run_config *run;
	struct network *network;
	struct watch *watch;
	struct job_line line;
	struct policy *last; /* owned; what the file has said last */
	struct network_limits last_limits;
	void (*closed)(void *owner);
	void *closed_owner;
};

/* One reading of the file. */
struct network_reading {
	struct job job;
	struct network_watch *watch; /* the loop's alone */
	struct os_run_config config; /* owned */
	struct option_set set;
	int result; /* 0, or OPTION_INVALID */
};

static bool policies_same(const struct policy *a, const struct policy *b)
{
	for (enum policy_list list = 0; list < POLICY_LISTS; list++)
		for (size_t i = 0;; i++) {
			const struct policy_rule *one = policy_rule_at(a, list, i);
			const struct policy_rule *other = policy_rule_at(b, list, i);

			if (!one != !other || (one && strcmp(one->text, other->text) != 0))
				return false;
			if (!one)
				break;
		}
	return true;
}

/* -ENOMEM. */
static int network_watch_take(struct network_watch *w, const struct os_run_config *config)
{
	struct network_limits limits;
	struct policy *now, *next;
	int r = network_settings_make(&config->network, config->file, &now, &limits);

	if (r < 0)
		return r;
	if (policies_same(now, w->last) && memcmp(&limits, &w->last_limits, sizeof(limits)) == 0) {
		policy_free(now);
		log_info(LOG,
			"'" TREE_CONFIG_FILE "' has changed: what isn't in [os.network] counts "
			"from the next start of 'wasmrun os'");
		return 0;
	}
	r = network_settings_make(&config->network, config->file, &next, &limits);
	if (r == 0)
		r = network_set(w->network, next, &limits);
	if (r < 0) {
		policy_free(now);
		return r;
	}
	policy_free(w->last);
	w->last = now;
	w->last_limits = limits;
	log_info(LOG, "'" TREE_CONFIG_FILE "' has changed: its [os.network] holds from now on");
	return 0;
}

static void reading_run(struct job *job)
{
	struct network_reading *r = container_of(job, struct network_reading, job);

	r->result = os_run_config_reread(&r->config, &r->set);
}

static void reading_done(struct job *job)
{
	struct network_reading *r = container_of(job, struct network_reading, job);

	if (r->result != 0)
		log_error(LOG, "the network policy stays as it was: %s", r->set.error);
	else if (network_watch_take(r->watch, &r->config) < 0)
		log_error(LOG, "the network policy stays as it was: %s", strerror(ENOMEM));
}

static void reading_free(struct job *job)
{
	struct network_reading *r = container_of(job, struct network_reading, job);

	os_run_config_deinit(&r->config);
	free(r);
}

static void on_changed(void *owner)
{
	struct network_watch *w = owner;
	struct network_reading *r = calloc(1, sizeof(*r));

	if (!r || os_run_config_begin_reread(w->run, &r->config, &r->set) < 0) {
		log_error(LOG, "can't read '" TREE_CONFIG_FILE "' again: %s", strerror(ENOMEM));
		if (r)
			reading_free(&r->job);
		return;
	}
	r->watch = w;
	r->job.run = reading_run;
	r->job.done = reading_done;
	r->job.free = reading_free;
	job_start(&w->line, &r->job);
}

static void on_watching(void *owner)
{
}

static void network_watch_freep(struct network_watch **w)
{
	if (!*w)
		return;
	policy_free((*w)->last);
	free(*w);
}

int network_watch_new(uv_loop_t *loop, const struct os_run_config *run, struct network *network,
	struct network_watch **ret_watch)
{
	_cleanup_(network_watch_freep) struct network_watch *w = NULL;
	struct watch_events events = { .changed = on_changed, .watching = on_watching };
	char folder[PATH_MAX];
	int r;

	if (!realpath(run->project_path, folder))
		return -errno;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->run = run;
	w->network = network;
	r = network_settings_make(&run->network, run->file, &w->last, &w->last_limits);
	if (r < 0)
		return r;
	events.owner = w;
	r = watch_new(loop, &events, &w->watch);
	if (r < 0)
		return r;
	job_line_init(&w->line, loop);
	/* Without memory nothing is watched: what is known of that is no reason to fail. */
	(void)watch_set(
		w->watch, &(struct watch_target){ .folder = folder, .file = TREE_CONFIG_FILE });
	*ret_watch = take_ptr(w);
	return 0;
}

static void on_watch_closed(void *owner)
{
	struct network_watch *w = owner;
	void (*closed)(void *owner) = w->closed;

	owner = w->closed_owner;
	network_watch_freep(&w);
	closed(owner);
}

void network_watch_close(struct network_watch *w, void (*closed)(void *owner), void *owner)
{
	w->closed = closed;
	w->closed_owner = owner;
	job_line_close(&w->line);
	watch_close(w->watch, on_watch_closed, w);
}
