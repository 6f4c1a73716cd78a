/* SPDX-License-Identifier: MIT */
/*
 * The files of a project that count, and the walk over them. Hidden files, backups, and folders
 * that tools make don't, nor what the project's own build makes, nor the folders that the
 * application may write.
 */
#ifndef OS_TREE_H
#define OS_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct option_list;

#define TREE_CONFIG_FILE "wasmrun.toml" /* of the project: see os/network_watch.h */
#define TREE_CACHE_MARK                                                           \
	"CACHEDIR.TAG" /* bford.info/cachedir: what is in there can be made again \
			*/

/* All paths are absolute. */
struct tree {
	char *folder;
	char *project; /* the folder or one below it, from which `dirs` count */
	char *file;    /* the only name in it that counts; NULL: all, and what is below */
	char *made;    /* file or folder that never counts; may be NULL */
	const struct option_list *dirs; /* HOST::GUEST; outlives the tree; may be NULL */
};

/* Copies the texts. -ENOMEM: *ret_copy is empty. */
int tree_copy(const struct tree *tree, struct tree *ret_copy);
void tree_clear(struct tree *tree);
bool tree_same(const struct tree *a, const struct tree *b);

/* Of a path, for tables; 0 for none. A file's is made from its folder's. */
uint64_t tree_folder_hash(const char *path);
uint64_t tree_file_hash(uint64_t folder, const char *name);

/* Of a file's or a folder's name in one of its folders, whose hash is `folder`. */
bool tree_cares(const struct tree *tree, uint64_t folder, const char *name, bool is_folder);

/* Either may be NULL. The first folder is the tree's own. `folder` says whether the walk goes on.
 */
struct tree_visitor {
	bool (*folder)(void *arg, const char *path);
	void (*file)(void *arg, uint64_t hash, const struct stat *st);
	void *arg;
};

/* False: its folder isn't there. Links are not followed. */
bool tree_walk(const struct tree *tree, const struct tree_visitor *visitor);

#endif
