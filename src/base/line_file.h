/* SPDX-License-Identifier: MIT */
/*
 * A file that lines are appended to, such as a log of connections, under a name that somebody may
 * rotate. Lines are collected, and written by line_file_flush(). A full disk, or a pipe that nobody
 * reads, costs lines, which are counted, and never a wait; a file server that doesn't answer holds
 * up whoever calls.
 */
#ifndef BASE_LINE_FILE_H
#define BASE_LINE_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct line_file;

/*
 * Appends to `path`, a file, a device, or a pipe that somebody reads; "-" is standard output. It is
 * made with `mode` where it isn't there. Negative errno, for file_why() as that of
 * line_file_reopen().
 */
int line_file_open(const char *path, mode_t mode, struct line_file **ret_file);

/* NULL is fine. Returns NULL. */
struct line_file *line_file_close(struct line_file *f);

/* The same path again, for what follows. Negative errno: the old file goes on. */
int line_file_reopen(struct line_file *f, const char *path, mode_t mode);

/*
 * The stream for so many lines. *ret_lost is how many could not be written since the last that
 * could: the caller says it in a line of its own before them, which doesn't count.
 */
FILE *line_file_begin(struct line_file *f, uint64_t lines, uint64_t *ret_lost);

/* Writes what was begun. Negative errno: those lines are lost, and the ones before were not. 0 for
 * further ones that are lost behind them. */
int line_file_flush(struct line_file *f);

#endif
