/* SPDX-License-Identifier: MIT */
/*
 * The child is a shell, which starts the browser in a session of its own, and ends. What is left in
 * the child's process group is killed with the child, so the shell waits until the browser has left
 * it.
 */
#include "cli/browser.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"

/* $1 is the address. */
static const char start[] = "IFS=:\n"
			    "for b in ${BROWSER:-xdg-open}; do\n"
			    "  command -v \"$b\" >/dev/null || continue\n"
			    "  setsid sh -c '\"$0\" \"$1\" >/dev/null 2>&1 &' \"$b\" \"$1\"\n"
			    "  exit\n"
			    "done\n"
			    "exit 1";

static bool browser_knows(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

static void browser_on_ended(struct child *child, int status)
{
	const struct browser *b = child->owner;

	if (b->url && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		log_warn("browser", "there is none to be found ($BROWSER, xdg-open): open %s",
			b->url);
}

void browser_open(struct browser *b, uv_loop_t *loop, struct log_ring *ring, const char *url)
{
	const char *const argv[] = { "sh", "-c", start, "sh", url, NULL };
	const struct spawn_config spawn = { .argv = argv };

	b->child = (struct child){ .ring = ring, .ended = browser_on_ended, .owner = b };
	b->url = url;
	if (strchr(url, '#')) {
		/* Everyone can read the words of a process. */
		log_warn("browser", "the page's address has a token in it, which no other process "
				    "is told: open it yourself");
		return;
	}
	if (!browser_knows("BROWSER") && !browser_knows("DISPLAY") &&
		!browser_knows("WAYLAND_DISPLAY")) {
		log_warn("browser", "there is no display for one: open %s", url);
		return;
	}
	if (child_start(&b->child, loop, &spawn, LOG_STREAM_SUPERVISOR, LOG_STREAM_SUPERVISOR) < 0)
		log_warn("browser", "%s", b->child.why);
}

void browser_close(struct browser *b)
{
	b->url = NULL;
	child_kill(&b->child);
}
