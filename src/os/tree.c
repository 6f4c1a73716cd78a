/* SPDX-License-Identifier: MIT */
/* The walk keeps nothing, and may run in a thread with a tree of its own. */
#include "os/tree.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/hash.h"
#include "conf/option_table.h"

static int tree_copy_text(const char *text, char **ret_copy)
{
	*ret_copy = text ? strdup(text) : NULL;
	return text && !*ret_copy ? -ENOMEM : 0;
}

int tree_copy(const struct tree *tree, struct tree *ret_copy)
{
	struct tree copy = { .dirs = tree->dirs };

	if (tree_copy_text(tree->folder, &copy.folder) < 0 ||
		tree_copy_text(tree->project, &copy.project) < 0 ||
		tree_copy_text(tree->file, &copy.file) < 0 ||
		tree_copy_text(tree->made, &copy.made) < 0) {
		tree_clear(&copy);
		*ret_copy = copy;
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

void tree_clear(struct tree *tree)
{
	free(tree->folder);
	free(tree->project);
	free(tree->file);
	free(tree->made);
	*tree = (struct tree){ 0 };
}

static bool tree_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool tree_same(const struct tree *a, const struct tree *b)
{
	return tree_same_text(a->folder, b->folder) && tree_same_text(a->project, b->project) &&
	       tree_same_text(a->file, b->file) && tree_same_text(a->made, b->made);
}

uint64_t tree_folder_hash(const char *path)
{
	return hash_bytes(0, path, strlen(path));
}

uint64_t tree_file_hash(uint64_t folder, const char *name)
{
	return hash_bytes(folder, name, strlen(name));
}

/* Names that are no sources: hidden ones, and what editors keep beside a file. */
static bool tree_is_noise(const char *name)
{
	size_t len = strlen(name);

	return len == 0 || *name == '.' || *name == '#' || name[len - 1] == '~';
}

/* Folders that tools make, as far as their names tell. */
static bool tree_is_made_name(const char *name)
{
	static const char *const names[] = { "__pycache__", "dist", "node_modules", "target" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Cargo marks its own, the others are known by name. */
static bool tree_is_made(const char *path, const char *name)
{
	char mark[PATH_MAX];
	int n;

	if (tree_is_made_name(name))
		return true;
	n = snprintf(mark, sizeof mark, "%s/" TREE_CACHE_MARK, path);
	return n < 0 || (size_t)n >= sizeof mark || access(mark, F_OK) == 0;
}

/* One that the application itself may write. The project's own folder can't be left out. */
static bool tree_is_given(const struct tree *tree, const char *path)
{
	char given[PATH_MAX], real[PATH_MAX];

	for (size_t i = 0; tree->dirs && i < tree->dirs->count; i++) {
		const char *dir = tree->dirs->items[i], *end = strstr(dir, "::");
		int len = (int)(end ? end - dir : (ptrdiff_t)strlen(dir));
		int n = *dir == '/'
				? snprintf(given, sizeof given, "%.*s", len, dir)
				: snprintf(given, sizeof given, "%s/%.*s", tree->project, len, dir);

		if (n > 0 && (size_t)n < sizeof given && realpath(given, real) &&
			strcmp(real, path) == 0)
			return true;
	}
	return false;
}

bool tree_cares(const struct tree *tree, uint64_t folder, const char *name, bool is_folder)
{
	const char *slash = tree->made ? strrchr(tree->made, '/') : NULL;

	if (tree->file)
		return strcmp(name, tree->file) == 0;
	if (slash && strcmp(name, slash + 1) == 0 &&
		folder == hash_bytes(0, tree->made, (size_t)(slash - tree->made)))
		return false;
	if (strcmp(name, TREE_CONFIG_FILE) == 0 && folder == tree_folder_hash(tree->project))
		return false;
	return !tree_is_noise(name) && !(is_folder && tree_is_made_name(name));
}

static void tree_visit_file(const struct tree *tree, const struct tree_visitor *visitor,
	uint64_t folder, const char *name, const struct stat *st)
{
	if (visitor->file && tree_cares(tree, folder, name, false))
		visitor->file(visitor->arg, tree_file_hash(folder, name), st);
}

static void tree_walk_file(const struct tree *tree, const struct tree_visitor *visitor)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof path, "%s/%s", tree->folder, tree->file);

	if (n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0)
		tree_visit_file(tree, visitor, tree_folder_hash(tree->folder), tree->file, &st);
}

static void tree_walk_below(const struct tree *tree, const struct tree_visitor *visitor)
{
	char *const roots[] = { tree->folder, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	if (!fts)
		return;
	for (FTSENT *e; (e = fts_read(fts));) {
		if (e->fts_info == FTS_D && e->fts_level > 0) {
			if (tree_is_noise(e->fts_name) || tree_is_made(e->fts_path, e->fts_name) ||
				tree_same_text(e->fts_path, tree->made) ||
				tree_is_given(tree, e->fts_path))
				(void)fts_set(fts, e, FTS_SKIP);
			else if (visitor->folder && !visitor->folder(visitor->arg, e->fts_path))
				break;
		} else if (visitor->file && (e->fts_info == FTS_F || e->fts_info == FTS_SL)) {
			char *last = strrchr(e->fts_path, '/');

			*last = '\0';
			tree_visit_file(tree, visitor, tree_folder_hash(e->fts_path), e->fts_name,
				e->fts_statp);
			*last = '/';
		}
	}
	(void)fts_close(fts);
}

bool tree_walk(const struct tree *tree, const struct tree_visitor *visitor)
{
	struct stat st;

	if (stat(tree->folder, &st) < 0 || !S_ISDIR(st.st_mode))
		return false;
	if (visitor->folder && !visitor->folder(visitor->arg, tree->folder))
		return true;
	if (tree->file)
		tree_walk_file(tree, visitor);
	else
		tree_walk_below(tree, visitor);
	return true;
}
