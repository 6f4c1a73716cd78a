/* SPDX-License-Identifier: MIT */
/*
 * A look is a walk in the thread pool over a tree of its own, and a comparison with the last one on
 * the loop. At most one is under way. What is asked for meanwhile begins when it ends; if that was
 * another tree, what the old look has found is dropped.
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

static void list_clear(struct survey_list *list)
{
	free(list->files);
	*list = (struct survey_list){ 0 };
}

/* Not the inode: FUSE and 9p may give a file another number each time. */
static uint64_t file_sign(const struct stat *st)
{
	const int64_t parts[] = { st->st_mtim.tv_sec, st->st_mtim.tv_nsec, st->st_size };

	return hash_bytes(0, parts, sizeof parts);
}

static void on_file(void *arg, uint64_t hash, const struct stat *st)
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
	list->files[list->count++] = (struct survey_file){ .hash = hash, .sign = file_sign(st) };
}

static int compare_files(const void *a, const void *b)
{
	const struct survey_file *first = a, *second = b;

	return (first->hash > second->hash) - (first->hash < second->hash);
}

static void on_work(uv_work_t *work)
{
	struct survey *s = work->data;
	const struct tree_visitor visitor = { .file = on_file, .arg = &s->next };
	uint64_t began_ms = clock_now_ms();

	if (!tree_walk(&s->tree, &visitor))
		s->next.failed = true;
	if (s->next.count > 0)
		qsort(s->next.files, s->next.count, sizeof *s->next.files, compare_files);
	s->took_ms = clock_now_ms() - began_ms;
}

static void survey_tell(struct survey *s, uint64_t hash, enum change change)
{
	s->events.changed(s->events.owner, hash, change);
}

/* Both are sorted. */
static void survey_compare(struct survey *s)
{
	const struct survey_file *a = s->old.files, *a_end = a + s->old.count;
	const struct survey_file *b = s->next.files, *b_end = b + s->next.count;

	while (a < a_end || b < b_end) {
		if (b == b_end || (a < a_end && a->hash < b->hash)) {
			survey_tell(s, a++->hash, CHANGE_GONE);
		} else if (a == a_end || b->hash < a->hash) {
			survey_tell(s, b++->hash, CHANGE_MADE);
		} else {
			if (a->sign != b->sign)
				survey_tell(s, a->hash, CHANGE_WRITTEN);
			a++;
			b++;
		}
	}
}

static void on_looked(uv_work_t *work, int status);
static void on_timer(uv_timer_t *timer);

static void survey_look(struct survey *s)
{
	s->again = false;
	list_clear(&s->next);
	tree_clear(&s->tree);
	if (tree_copy(s->wanted, &s->tree) < 0 ||
		uv_queue_work(s->timer.loop, &s->work, on_work, on_looked) < 0) {
		log_warn("watch", "can't look at the project's files: not enough memory");
		(void)uv_timer_start(&s->timer, on_timer, SURVEY_MS, 0);
		return;
	}
	s->looking = true;
}

static void on_timer(uv_timer_t *timer)
{
	struct survey *s = timer->data;

	if (!s->looking)
		survey_look(s);
}

static void survey_take(struct survey *s)
{
	if (s->next.full && !s->said_full)
		log_warn("watch", "only %d files of the project are looked at", SURVEY_FILES_MAX);
	s->said_full = s->said_full || s->next.full;
	if (s->next.failed)
		return;
	if (!s->anew)
		survey_compare(s);
	s->anew = false;
	list_clear(&s->old);
	s->old = s->next;
	s->next = (struct survey_list){ 0 };
}

static void survey_ended(struct survey *s)
{
	tree_clear(&s->tree);
	list_clear(&s->old);
	list_clear(&s->next);
	s->closed(s->events.owner);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct survey *s = handle->data;

	s->timer_closed = true;
	if (!s->looking)
		survey_ended(s);
}

static void on_looked(uv_work_t *work, int status)
{
	struct survey *s = work->data;

	s->looking = false;
	if (s->closed) {
		/* The last thing: its owner may free it. */
		if (s->timer_closed)
			survey_ended(s);
		return;
	}
	if (!s->wanted)
		return;
	if (s->again) {
		survey_look(s);
		return;
	}
	survey_take(s);
	(void)uv_timer_start(&s->timer, on_timer, max_u64(SURVEY_MS, SURVEY_SHARE * s->took_ms), 0);
	s->events.looked(s->events.owner);
}

void survey_init(struct survey *s, uv_loop_t *loop, const struct survey_events *events)
{
	s->events = *events;
	(void)uv_timer_init(loop, &s->timer);
	s->timer.data = s->work.data = s;
}

void survey_set(struct survey *s, const struct tree *tree)
{
	s->wanted = tree;
	s->anew = true;
	s->said_full = false;
	(void)uv_timer_stop(&s->timer);
	if (tree)
		survey_now(s);
}

void survey_now(struct survey *s)
{
	s->again = s->looking;
	if (!s->looking)
		survey_look(s);
}

void survey_close(struct survey *s, void (*closed)(void *owner))
{
	s->closed = closed;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}
