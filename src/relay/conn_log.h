/* SPDX-License-Identifier: MIT */
/*
 * The connection log: a line per event, "TIME EVENT key=value …", for a file of its own. Lines are
 * collected and written once per turn of the loop.
 */
#ifndef RELAY_CONN_LOG_H
#define RELAY_CONN_LOG_H

#include "relay/relay.h"

struct conn_log;

/*
 * Appends to `path`, a file, a device, or a pipe that somebody reads; "-" is standard output.
 * Negative errno, for file_why() as that of conn_log_reopen().
 */
int conn_log_open(const char *path, struct conn_log **ret_log);
struct conn_log *conn_log_close(struct conn_log *log);

/* The same path again, for what follows. Negative errno: the old file goes on. */
int conn_log_reopen(struct conn_log *log, const char *path);

/* These take NULL: no log. */
void conn_log_write(struct conn_log *log, const struct relay_event *event);
void conn_log_flush(struct conn_log *log);

#endif
