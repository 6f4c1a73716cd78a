/* SPDX-License-Identifier: MIT */
/*
 * A descriptor of the control loop that is watched beside the sockets of its pumps, in the same
 * epoll set, as long as it is readable (pump_pool_watch()): one wait tells of all that concerns
 * visitors, and libuv needn't be asked.
 */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include "base/list.h"

struct watch {
	struct list link; /* while `ready` is to be called */
	/* It is readable. May unwatch any, also itself, and free it then. */
	void (*ready)(struct watch *watch);
};

static inline void watch_init(struct watch *watch, void (*ready)(struct watch *watch))
{
	list_init(&watch->link);
	watch->ready = ready;
}

#endif
