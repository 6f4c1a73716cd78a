/* SPDX-License-Identifier: MIT */
/*
 * --connection-log: a line for each connection that has ended, the "Connection" of the API as JSON
 * in ASCII. The file may be on a file system that doesn't answer: all that touches it is a job
 * (os/job.h), and lines that find no room in the meantime are counted and said as
 * {"lines_lost":N}.
 */
#ifndef OS_CONN_FILE_H
#define OS_CONN_FILE_H

#include <uv.h>

#define CONN_FILE_MODE 0600
#define CONN_FILE_WAITING_MAX (1U << 20) /* bytes of lines that wait to be written */
#define CONN_FILE_CLOSE_MS 2000          /* how long the end waits for the last of them */

struct conn;
struct conn_file;

/* Opens it, here and now. `path` outlives it. Negative errno, for file_why(). */
int conn_file_new(uv_loop_t *loop, const char *path, struct conn_file **ret_file);

void conn_file_add(struct conn_file *f, const struct conn *conn);

/* The path may lead to another file by now, for what follows. */
void conn_file_reopen(struct conn_file *f);

/* Writes what waits, and frees; `closed` is the last call, never from within. */
void conn_file_close(struct conn_file *f, void (*closed)(void *owner), void *owner);

#endif
