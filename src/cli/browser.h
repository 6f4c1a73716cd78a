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
 * Gives the address to the first of $BROWSER's commands that is installed, else to xdg-open. `url`
 * stays until browser_close(); the browser lives on when we end. Where there is no browser, or no
 * display for one, the log says so, and it is no failure. What starting it prints goes to the ring.
 */
void browser_open(struct browser *b, uv_loop_t *loop, struct log_ring *ring, const char *url);

/* Ends the start of the browser, if it still goes on, but not the browser. */
void browser_close(struct browser *b);

#endif
