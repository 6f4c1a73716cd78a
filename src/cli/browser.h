/* SPDX-License-Identifier: MIT */
/* Shows a page to the user. */
#ifndef CLI_BROWSER_H
#define CLI_BROWSER_H

#include <stdbool.h>

#include "os/child.h"

/* Embedded in its owner; a zeroed one is fine. */
struct browser {
	struct child child;
	const char *url;
};

/*
 * The first of $BROWSER's commands that there is, else xdg-open, gets the address, which stays
 * until browser_close(); the browser itself lives on when we end. Where there is none, or no
 * display for one, the log says so: it is no failure. What the starting of it prints goes to the
 * ring.
 */
void browser_open(struct browser *b, uv_loop_t *loop, struct log_ring *ring, const char *url);

/* Some milliseconds are left for the start, not for the browser. */
void browser_close(struct browser *b);

#endif
