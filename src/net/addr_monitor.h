/* SPDX-License-Identifier: MIT */
/*
 * Tells when the machine's addresses or routes change (rtnetlink(7)): a reason to try a lost relay
 * again at once.
 */
#ifndef NET_ADDR_MONITOR_H
#define NET_ADDR_MONITOR_H

#include <uv.h>

/* Start with fd = -1. */
struct addr_monitor {
	uv_poll_t poll;
	int fd; /* -1 when not open */
	void (*changed)(void *owner);
	void (*closed)(struct addr_monitor *m);
	void *owner;
};

/* changed, closed, owner are set by the caller before. Negative errno where netlink is not to be
 * had: go on without. */
int addr_monitor_open(struct addr_monitor *m, uv_loop_t *loop);
/* `closed` follows, never from within. Idempotent. */
void addr_monitor_close(struct addr_monitor *m);

#endif
