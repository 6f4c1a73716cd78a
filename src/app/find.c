/* SPDX-License-Identifier: MIT */
/* glob(3) sees to the patterns; what it finds is judged by stat(2), which opens nothing. */
#include "app/find.h"

#include <assert.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/rule.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"

void found_clear(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		free(found->items[i]);
	free(found->items);
	*found = (struct found){ 0 };
}

char *find_escape(const char *path)
{
	char *escaped = malloc(2 * strlen(path) + 1), *out = escaped;

	if (!escaped)
		return NULL;
	for (; *path; path++) {
		if (strchr("*?[\\{},", *path))
			*out++ = '\\';
		*out++ = *path;
	}
	*out = '\0';
	return escaped;
}

/* Negative errno; 0, and *ret_glob is to be freed, also where it is empty. */
static int find_glob(const char *folder, const char *pattern, glob_t *ret_glob)
{
	_cleanup_(freep) char *escaped = find_escape(folder), *whole = NULL;
	int r;

	*ret_glob = (glob_t){ 0 };
	if (!escaped || asprintf(&whole, "%s/%s", escaped, pattern) < 0) {
		whole = NULL;
		return -ENOMEM;
	}
	r = glob(whole, GLOB_BRACE, NULL, ret_glob);
	return r == GLOB_NOSPACE ? -ENOMEM : 0;
}

static int find_add(struct found *found, const char *name)
{
	if (found->count == FIND_FILES_MAX)
		return -E2BIG;
	if (!found->items)
		found->items = calloc(FIND_FILES_MAX, sizeof *found->items);
	if (!found->items || !(found->items[found->count] = strdup(name)))
		return -ENOMEM;
	found->count++;
	return 0;
}

int find_files(const char *folder, const char *pattern, struct found *found)
{
	size_t prefix = strlen(folder) + 1;
	struct stat st;
	glob_t all;
	int r;

	if (access(folder, R_OK | X_OK) < 0)
		return -errno;
	r = find_glob(folder, pattern, &all);
	for (size_t i = 0; r == 0 && i < all.gl_pathc; i++)
		if (stat(all.gl_pathv[i], &st) == 0 && S_ISREG(st.st_mode))
			r = find_add(found, all.gl_pathv[i] + prefix);
	globfree(&all);
	return r;
}

bool find_any(const char *folder, const char *pattern)
{
	glob_t all;
	bool any = find_glob(folder, pattern, &all) == 0 && all.gl_pathc > 0;

	globfree(&all);
	return any;
}

/* Its text, which the caller frees. NULL: it isn't to be read, or is too large. */
static char *find_read(const char *folder, const char *name)
{
	_cleanup_(freep) char *path = NULL, *text = NULL;
	_cleanup_(fd_closep) int fd = -1;
	uint64_t size;
	ssize_t n;

	if (asprintf(&path, "%s/%s", folder, name) < 0) {
		path = NULL;
		return NULL;
	}
	if (file_open_limited(path, FIND_TEXT_MAX, &fd, &size) < 0)
		return NULL;
	text = calloc(1, size + 1);
	n = text ? pread(fd, text, size, 0) : -1;
	return n < 0 ? NULL : take_ptr(text);
}

bool find_says(const char *folder, const char *name, const char *expression)
{
	_cleanup_(freep) char *text = find_read(folder, name);
	regex_t regex;
	bool says;
	int r;

	if (!text)
		return false;
	r = regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB);
	assert(r == 0); /* it is the table's */
	says = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return says;
}

static bool find_root_is_here(const struct app_root *root, const char *folder)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof path, "%s/%s", folder, root->marker);

	return n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       (!root->says || find_says(folder, root->marker, root->says));
}

char *find_root(const char *folder, const struct app_root *roots)
{
	for (; roots && roots->marker; roots++) {
		_cleanup_(freep) char *path = strdup(folder);

		while (path && *path) {
			if (find_root_is_here(roots, path))
				return take_ptr(path);
			*strrchr(path, '/') = '\0';
		}
	}
	return NULL;
}
