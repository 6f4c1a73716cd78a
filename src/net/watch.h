/* SPDX-License-Identifier: MIT */
/*
 * A descriptor of the control loop that is watched beside the sockets of its pumps, in the same
 * epoll set: one wait tells of all that concerns visitors, and libuv needn't be asked.
 *
 * A socket that serves one visitor after the other stays there (pump_pool_watch_socket()): while a
 * pump has it, what happens to it is told to that, and else to its owner.
 */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "net/pump_job.h"

struct pump;

struct watch {
	struct list link; /* while `ready` is to be called */
	/* Something has come. May unwatch any, also itself, and free it then. */
	void (*ready)(struct watch *watch);

	/* Own. */
	bool watched;
	struct pump *pump; /* that has the socket; NULL: none */
	enum pump_side side;
	/* epoll's, since its owner or a pump has looked last, who takes out of them what he has
	 * dealt with: of a socket each is told once. */
	uint32_t events;
};

static inline void watch_init(struct watch *watch, void (*ready)(struct watch *watch))
{
	*watch = (struct watch){ .ready = ready };
	list_init(&watch->link);
}

#endif
