/* SPDX-License-Identifier: MIT */
/* From the entries of a TOML file to options. The file may hold a secret: whatever held its text is
 * wiped. */
#include "conf/option_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "conf/toml.h"

#define SHOWN_MAX 128 /* of a text of the file in a message */

static void toml_file_freep(struct toml_file **file)
{
	toml_file_free(*file);
}

/* At most OPTION_FILE_MAX bytes; -EFBIG. */
static int option_file_read(const char *path, char **ret_text, size_t *ret_len)
{
	_cleanup_(fd_closep) int fd = -1;
	_cleanup_(secret_freep) char *text = NULL;
	size_t len = 0;
	ssize_t n = 1;
	int r;

	r = file_open(path, O_RDONLY, 0, FILE_ALONE, &fd);
	if (r < 0)
		return r;
	text = malloc(OPTION_FILE_MAX + 1);
	if (!text)
		return -ENOMEM;
	while (n > 0 && len <= OPTION_FILE_MAX) {
		n = read(fd, text + len, OPTION_FILE_MAX + 1 - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	if (len > OPTION_FILE_MAX)
		return -EFBIG;
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

/* Why the entry can't be a value of `def`, whatever its text says; NULL: it may be one. */
static const char *option_file_refusal(const struct toml_entry *entry, const struct option_def *def)
{
	if (!entry->text)
		return "it is neither a text nor a whole number, true or false";
	if (strlen(entry->text) != entry->len)
		return "it holds a NUL character";
	if (entry->element != option_is_list(def))
		return entry->element ? "one value is expected, not an array"
				      : "an array is expected: put it into square brackets";
	return NULL;
}

static int option_file_take_entry(struct option_set *set, const struct toml_entry *entry)
{
	const struct option_origin origin = { OPTION_FROM_FILE, entry->line };
	const struct option_def *def = option_find_key(set->table, entry->key);
	char shown[SHOWN_MAX];
	const char *why;
	int r;

	if (!def)
		return option_set_fail(set, "%s:%" PRIu32 ": there is no key '%s'", set->file,
			entry->line,
			log_escape(shown, sizeof shown, entry->key, strlen(entry->key)));
	why = option_file_refusal(entry, def);
	r = why ? option_set_refuse(set, def, entry->text, origin, why)
		: option_set_take(set, def, entry->text, origin);
	/* The option has a copy in pages of its own. */
	if (def->type == OPTION_SECRET && entry->text)
		explicit_bzero(entry->text, entry->len);
	return r;
}

int option_set_read_file(struct option_set *set, const char *path, struct toml_file **ret_file)
{
	_cleanup_(toml_file_freep) struct toml_file *file = NULL;
	_cleanup_(secret_freep) char *text = NULL;
	char why[TOML_WHY_MAX], shown[TOML_WHY_MAX];
	uint32_t line;
	size_t len = 0;
	int r = option_file_read(path, &text, &len);

	if (r == -ENOENT) {
		*ret_file = NULL;
		return 0;
	}
	set->file = path;
	if (r < 0)
		return option_set_fail(set, "can't read '%s': %s", path, file_why(r));
	r = toml_file_parse(text, len, &file, &line, why);
	secret_wipe_stack();
	if (r < 0)
		return option_set_fail(set, "%s:%" PRIu32 ": %s", path, line,
			log_escape(shown, sizeof shown, why, strlen(why)));
	for (size_t i = 0; r == 0 && i < toml_file_count(file); i++)
		r = option_file_take_entry(set, toml_file_entry(file, i));
	if (r == 0)
		*ret_file = take_ptr(file);
	return r;
}
