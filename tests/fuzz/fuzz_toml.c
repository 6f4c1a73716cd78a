/* SPDX-License-Identifier: MIT */
/* A project's wasmrun.toml, as someone else has written it. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "conf/option_file.h"
#include "conf/toml.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toml_file *file = NULL;
	char why[TOML_WHY_MAX];
	uint32_t line = 0;
	int r;

	if (size > OPTION_FILE_MAX)
		return 0;
	r = toml_file_parse((const char *)data, size, &file, &line, why);
	if (r < 0) {
		assert(r == -EINVAL && !file && line > 0 && strlen(why) < TOML_WHY_MAX);
		return 0;
	}
	for (size_t i = 0; i < toml_file_count(file); i++) {
		const struct toml_entry *entry = toml_file_entry(file, i);

		assert(entry->key && entry->line > 0 && entry->line <= size + 1);
		assert(!entry->text || entry->text[entry->len] == '\0');
	}
	toml_file_free(file);
	return 0;
}
