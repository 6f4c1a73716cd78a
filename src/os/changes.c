/* SPDX-License-Identifier: MIT */
/* A table of files without their names: what the builds have taught stays as long as it matters. */
#include "os/changes.h"

static struct changed_file *changes_find(struct changes *c, uint64_t hash)
{
	struct changed_file *end = c->files + 1 + c->file_count;

	for (struct changed_file *file = c->files + 1; file < end; file++)
		if (file->hash == hash)
			return file;
	if (!hash || c->file_count == CHANGES_FILES_MAX)
		return c->files;
	*end = (struct changed_file){ .hash = hash };
	c->file_count++;
	return end;
}

bool changes_note(struct changes *c, uint64_t hash, enum change change)
{
	struct changed_file *file = changes_find(c, hash);
	bool was = file->changed, first = c->building && file->build != c->build;

	if (first) {
		file->strikes = file->build + 1 == c->build ? file->strikes + 1 : 1;
		file->build = c->build;
	}
	if (!was)
		file->fresh = change == CHANGE_MADE && file != c->files;
	if (was && file->fresh && change == CHANGE_GONE)
		file->changed = false;
	else if (!c->building || file->strikes < CHANGES_STRIKES)
		file->changed = true;
	c->count = c->count + file->changed - was;
	return first && file->strikes == CHANGES_STRIKES;
}

bool changes_any(const struct changes *c)
{
	return c->count > 0;
}

void changes_forget(struct changes *c)
{
	struct changed_file *end = c->files + 1 + c->file_count, *kept = c->files + 1;

	c->files->changed = false;
	for (struct changed_file *file = kept; file < end; file++)
		if (file->build && file->build + 1 >= c->build) {
			*kept = *file;
			kept->changed = kept->fresh = false;
			kept++;
		}
	c->file_count = (size_t)(kept - c->files) - 1;
	c->count = 0;
}

void changes_build_began(struct changes *c)
{
	changes_forget(c);
	c->building = true;
	c->build++;
}

void changes_build_ended(struct changes *c)
{
	c->building = false;
}
