/* SPDX-License-Identifier: MIT */
/* The files of examples/ that are part of the program, as tools/embed-examples writes them. */
#ifndef CLI_EXAMPLE_H
#define CLI_EXAMPLE_H

#include <stddef.h>

struct example_file {
	const char *example; /* "hello-c"; NULL ends the table */
	const char *path;    /* from the example's folder: "src/lib.rs" */
	const void *data;
	size_t len;
};

extern const struct example_file example_files[];

#endif
