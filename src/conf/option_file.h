/* SPDX-License-Identifier: MIT */
/*
 * The configuration file's part of an option set: only keys that the table knows, every mistake
 * with file and line.
 */
#ifndef CONF_OPTION_FILE_H
#define CONF_OPTION_FILE_H

#include "conf/option.h"

#define OPTION_FILE_MAX (256 * 1024) /* bytes: room for a list of OPTION_LIST_MAX values */

struct toml_file;

/*
 * Between option_set_begin() and option_set_finish(). 0, with *ret_file NULL when there is no such
 * file; else the values may point into it. `path` outlives the set. OPTION_INVALID: set->error says
 * why.
 */
int option_set_read_file(struct option_set *set, const char *path, struct toml_file **ret_file);

#endif
