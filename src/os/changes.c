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

/* Whether it is no reason for another build, since the one that runs may well be its author. */
static bool changes_is_theirs(
	const struct changes *c, const struct changed_file *file, enum change change)
{
	if (!c->building)
		return false;
	return file->strikes >= CHANGES_STRIKES || c->circles >= CHANGES_CIRCLES ||
	       (c->restless && (file->fresh || change == CHANGE_GONE));
}

static void changes_count(struct changes *c, struct changed_file *file, enum change change)
{
	bool was = file->changed;

	if (!file->seen)
		file->fresh = change == CHANGE_MADE && file != c->files;
	file->seen = true;
	if (was && file->fresh && change == CHANGE_GONE)
		file->changed = false;
	else if (!changes_is_theirs(c, file, change))
		file->changed = true;
	c->count = c->count + file->changed - was;
	if (file->changed) {
		c->outside = c->outside || !c->building;
		c->names = c->names || file->fresh || change == CHANGE_GONE;
	}
	c->outside = c->outside && c->count > 0;
}

bool changes_note(struct changes *c, uint64_t hash, enum change change)
{
	struct changed_file *file = changes_find(c, hash);
	bool first = c->building && file->build != c->build;

	if (first) {
		file->strikes = file->build + 1 == c->build ? file->strikes + 1 : 1;
		file->build = c->build;
	}
	changes_count(c, file, change);
	return first && file->strikes == CHANGES_STRIKES;
}

bool changes_any(const struct changes *c)
{
	return c->count > 0;
}

bool changes_circle(struct changes *c)
{
	bool first = c->circles >= CHANGES_CIRCLES && !c->restless;

	c->restless = c->restless || first;
	return first;
}

void changes_forget(struct changes *c)
{
	struct changed_file *end = c->files + 1 + c->file_count, *kept = c->files + 1;

	if (c->count > 0 && c->outside)
		c->circles = 0;
	else if (c->count > 0)
		c->circles += c->names || c->restless ? CHANGES_CIRCLE_WEIGHT : 1;
	c->outside = c->names = false;
	c->files->changed = c->files->seen = false;
	for (struct changed_file *file = kept; file < end; file++)
		if (file->build && file->build + 1 >= c->build) {
			*kept = *file;
			kept->changed = kept->seen = kept->fresh = false;
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
