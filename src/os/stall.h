/* SPDX-License-Identifier: MIT */
/*
 * A call that a guest can make wait, cut short.
 *
 * What an instance shares with us it can set so that we wait: accept(2) as long as nobody comes,
 * where it has taken O_NONBLOCK from the open file; the last close(2) of a TCP socket as long as
 * its SO_LINGER says, and of a Unix socket as long as all that is in its queue takes, whatever is
 * in the queues of those; recvmsg(2) that for descriptors for which there is no room. No look ahead
 * can tell, since threads of the instance go on meanwhile, and a thread of ours that waited in our
 * place would be held up for as long. The kernel has one way to leave such a wait: a signal. So one
 * comes when a call has taken STALL_MS, and again each STALL_AGAIN_MS.
 *
 * Whoever was made to wait lets the instance wait STALL_REST_MS, so that it can take a hundredth of
 * our time and no more.
 *
 * No signal ends the close(2) of a file on a file system that doesn't answer. An instance can send
 * one as well: see close_foreign() in broker_request.c.
 */
#ifndef OS_STALL_H
#define OS_STALL_H

#include <signal.h>
#include <stdbool.h>
#include <time.h>

#define STALL_MS 2
#define STALL_AGAIN_MS 1
#define STALL_REST_MS 200

struct stall {
	timer_t timer;
	volatile sig_atomic_t over; /* the time is */
	long sleeps;                /* of the thread, before the call */
};

/* For calls of this thread; *s stays where it is. -EAGAIN: too many signals are pending
 * (RLIMIT_SIGPENDING). */
int stall_init(struct stall *s);
void stall_deinit(struct stall *s);

/* Right before the call, and right behind it, whose errno stays. True: it was made to wait. A wait
 * for a processor isn't one. */
void stall_watch(struct stall *s);
bool stall_end(struct stall *s);

/* close(2), watched. */
bool stall_close(struct stall *s, int fd);

#endif
