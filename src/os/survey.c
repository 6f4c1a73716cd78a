/* SPDX-License-Identifier: MIT */
/*
 * A look is a walk in a job over a tree of its own, and on the loop a comparison with what the last
 * one has found. At most one counts: what is asked for meanwhile drops it, and begins behind it in
 * the line. What a dropped one has seen is not lost, because the next one is compared with the
 * same.
 */
#include "os/survey.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/owner.h"

/* Those that <linux/magic.h> has not: each is its driver's. */
#define CIFS_MAGIC 0xff534d42
#define SMB2_MAGIC 0xfe534d42
#define CEPH_MAGIC 0x00c36400
#define HGFS_MAGIC 0xbacbacbc
#define PRLFS_MAGIC 0x7c7c6673
#define VBOXSF_MAGIC 0x786f4256
#define WSLFS_MAGIC 0x53464846

const char *survey_file_system(const char *path)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} rows[] = {
		{ V9FS_MAGIC, "9p (WSL's or a virtual machine's)" },
		{ NFS_SUPER_MAGIC, "NFS" },
		{ SMB_SUPER_MAGIC, "SMB" },
		{ CIFS_MAGIC, "SMB" },
		{ SMB2_MAGIC, "SMB" },
		{ FUSE_SUPER_MAGIC, "FUSE (Docker Desktop's, sshfs or the like)" },
		{ OVERLAYFS_SUPER_MAGIC, "overlay" },
		{ CEPH_MAGIC, "Ceph" },
		{ AFS_SUPER_MAGIC, "AFS" },
		{ CODA_SUPER_MAGIC, "Coda" },
		{ HGFS_MAGIC, "VMware's" },
		{ PRLFS_MAGIC, "Parallels'" },
		{ VBOXSF_MAGIC, "VirtualBox's" },
		{ WSLFS_MAGIC, "WSL's" },
	};
	struct statfs st;

	if (statfs(path, &st) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((uint32_t)st.f_type == rows[i].magic)
			return rows[i].name;
	return NULL;
}

struct survey_look {
	struct job job;
	struct survey *survey; /* the loop's alone */
	struct tree tree;      /* owned */
	struct survey_list found;
	uint64_t took_ms;
};

static void survey_list_clear(struct survey_list *list)
{
	free(list->files);
	*list = (struct survey_list){ 0 };
}

/* Not the inode: FUSE and 9p may give a file another number each time. */
static uint64_t survey_sign(const struct stat *st)
{
	const int64_t parts[] = { st->st_mtim.tv_sec, st->st_mtim.tv_nsec, st->st_size };

	return hash_bytes(0, parts, sizeof parts);
}

static void survey_on_file(void *arg, uint64_t hash, const struct stat *st)
{
	struct survey_list *list = arg;

	if (list->failed || list->count == SURVEY_FILES_MAX) {
		list->full = true;
		return;
	}
	/* Room for 64, then for twice as much each time. */
	if ((list->count & (list->count - 1)) == 0 && (list->count == 0 || list->count >= 64)) {
		size_t room = list->count ? 2 * list->count : 64;
		struct survey_file *files = reallocarray(list->files, room, sizeof *files);

		if (!files) {
			list->failed = true;
			return;
		}
		list->files = files;
	}
	list->files[list->count++] = (struct survey_file){ .hash = hash, .sign = survey_sign(st) };
}

static int survey_compare_files(const void *a, const void *b)
{
	const struct survey_file *first = a, *second = b;

	return (first->hash > second->hash) - (first->hash < second->hash);
}

static void survey_on_look(struct job *job)
{
	struct survey_look *look = container_of(job, struct survey_look, job);
	struct survey_list *found = &look->found;
	const struct tree_visitor visitor = { .file = survey_on_file, .arg = found };
	uint64_t began_ms = clock_now_ms();

	if (!tree_walk(&look->tree, &visitor))
		found->failed = true;
	if (found->count > 0)
		qsort(found->files, found->count, sizeof *found->files, survey_compare_files);
	look->took_ms = clock_now_ms() - began_ms;
}

static void survey_tell(struct survey *s, uint64_t hash, enum change change)
{
	s->events.changed(s->events.owner, hash, change);
}

/* Both are sorted. */
static void survey_compare(struct survey *s, const struct survey_list *found)
{
	const struct survey_file *a = s->old.files, *b = found->files;
	size_t a_left = s->old.count, b_left = found->count; /* either may be all of NULL */

	while (a_left > 0 || b_left > 0) {
		bool has_a = a_left > 0 && (b_left == 0 || a->hash <= b->hash);
		bool has_b = b_left > 0 && (a_left == 0 || b->hash <= a->hash);

		if (!has_b)
			survey_tell(s, a->hash, CHANGE_GONE);
		else if (!has_a)
			survey_tell(s, b->hash, CHANGE_MADE);
		else if (a->sign != b->sign)
			survey_tell(s, a->hash, CHANGE_WRITTEN);
		if (has_a)
			a++, a_left--;
		if (has_b)
			b++, b_left--;
	}
}

static void survey_take(struct survey *s, struct survey_list *found)
{
	if (found->full && !s->said_full)
		log_warn("watch", "only %d files of the project are looked at", SURVEY_FILES_MAX);
	s->said_full = s->said_full || found->full;
	if (found->failed)
		return;
	if (!s->anew)
		survey_compare(s, found);
	s->anew = false;
	survey_list_clear(&s->old);
	s->old = *found;
	*found = (struct survey_list){ 0 };
}

static void survey_on_timer(uv_timer_t *timer)
{
	survey_now(timer->data);
}

static void survey_on_looked(struct job *job)
{
	struct survey_look *look = container_of(job, struct survey_look, job);
	struct survey *s = look->survey;

	s->look = NULL;
	survey_take(s, &look->found);
	(void)uv_timer_start(
		&s->timer, survey_on_timer, max_u64(SURVEY_MS, SURVEY_SHARE * look->took_ms), 0);
	s->events.looked(s->events.owner);
}

static void survey_look_free(struct job *job)
{
	struct survey_look *look = container_of(job, struct survey_look, job);

	tree_clear(&look->tree);
	survey_list_clear(&look->found);
	free(look);
}

static void survey_drop_look(struct survey *s)
{
	if (s->look)
		job_drop(&take_ptr(s->look)->job);
}

void survey_init(struct survey *s, struct job_line *line, const struct survey_events *events)
{
	s->events = *events;
	s->line = line;
	(void)uv_timer_init(line->loop, &s->timer);
	s->timer.data = s;
}

void survey_set(struct survey *s, const struct tree *tree)
{
	s->wanted = tree;
	s->anew = true;
	s->said_full = false;
	(void)uv_timer_stop(&s->timer);
	survey_drop_look(s);
	if (tree)
		survey_now(s);
}

void survey_now(struct survey *s)
{
	struct survey_look *look = calloc(1, sizeof *look);

	survey_drop_look(s);
	if (!look || tree_copy(s->wanted, &look->tree) < 0) {
		log_warn("watch", "can't look at the project's files: not enough memory");
		free(look);
		(void)uv_timer_start(&s->timer, survey_on_timer, SURVEY_MS, 0);
		return;
	}
	look->job = (struct job){
		.run = survey_on_look, .done = survey_on_looked, .free = survey_look_free
	};
	look->survey = s;
	s->look = look;
	job_start(s->line, &look->job);
}

static void survey_on_timer_closed(uv_handle_t *handle)
{
	struct survey *s = handle->data;

	survey_list_clear(&s->old);
	s->closed(s->events.owner);
}

void survey_close(struct survey *s, void (*closed)(void *owner))
{
	s->closed = closed;
	survey_drop_look(s);
	uv_close((uv_handle_t *)&s->timer, survey_on_timer_closed);
}
