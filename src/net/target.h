/* SPDX-License-Identifier: MIT */
/*
 * A target is a way to get an end of a flow (net/flow.h): an address to dial, here below, or
 * whatever an owner makes one of. Many flows may open it at the same time.
 */
#ifndef NET_TARGET_H
#define NET_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/dialer.h"
#include "net/pump_pool.h"

struct flow;
struct flow_set;

struct target {
	/*
	 * Opens `side` of `f`. 1: it is there, and *ret_fd the flow's, or -1 where flow_hold() was
	 * called and the holder keeps it. 0: flow_hold() was called, and flow_opened() or
	 * flow_failed() follows, never from within. Negative errno, or an error of
	 * uv_getaddrinfo(): it failed, and nothing follows.
	 */
	int (*open)(const struct target *t, struct flow *f, enum pump_side side, int *ret_fd);
};

/* What a flow does with a holder: that which has an end until the flow takes it. */
struct holder_ops {
	/* The flow has ended, and forgets the holder, which closes what it has. Calls nothing back.
	 */
	void (*cancel)(void *holder);
	/*
	 * Both ends are there: gives the descriptor to the flow, which forgets the holder. What
	 * was read from it already stands in *ret_early until the loop's next turn. Negative
	 * errno: nothing has changed. NULL for a holder that gives it to flow_opened().
	 */
	int (*take)(void *holder, const void **ret_early, size_t *ret_early_len);
};

/* A holder that libuv still knows of when its flow is gone keeps the set so from being idle. */
void flow_set_ref(struct flow_set *set);
void flow_set_unref(struct flow_set *set);

/* `holder` has that end of the flow from now on, or works on it, in place of whoever did. */
void flow_hold(struct flow *f, enum pump_side side, const struct holder_ops *ops, void *holder);

/*
 * The end is there. fd >= 0: it is the flow's, which forgets the holder. `early` is what was read
 * from it already; only for an end that comes last, behind the other one.
 * -1: the holder keeps it, and what comes early, until ops->take().
 * The flow may be gone when this returns.
 */
void flow_opened(struct flow *f, enum pump_side side, int fd, const void *early, size_t early_len);

/* The end can't be had, and the holder is gone. The flow may be gone when this returns. */
void flow_failed(struct flow *f, enum pump_side side, int error);

/* A target that is dialled. */
struct dial_target {
	struct target target;
	struct dialer dialer;
};

/* As dialer_init(). */
int dial_target_init(struct dial_target *t, uv_loop_t *loop, const char *host, uint16_t port);

#endif
