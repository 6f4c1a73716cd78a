/* SPDX-License-Identifier: MIT */
/*
 * The guest's descriptors that the engine's WASI has nothing to do with: standard streams and
 * sockets. They are read, written and waited for here, with plain system calls.
 *
 * A socket's number never meets one of the engine's. The preopened listener has the number that
 * programs expect, the first behind the directories: the engine's table holds a stand-in at that
 * place. Accepted sockets count from STREAMS_SOCKET_BASE, which the engine's dense table, with an
 * open descriptor of the host behind each number, can't reach.
 *
 * Every socket is non-blocking on the host; one that blocks for the guest is waited for.
 */
#ifndef GUEST_STREAMS_H
#define GUEST_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/stream.h"

/* fs.nr_open as the kernel sets it: no process has more descriptors unless root says otherwise. */
#define STREAMS_SOCKET_BASE (1u << 20)

#define STREAMS_SOCKETS_MAX 16384 /* of one guest; beyond that accept fails with EMFILE */
#define STREAMS_NO_FD UINT32_MAX  /* no guest has this number for a descriptor */

/* How far the guest has got; each step is told by an empty line. */
enum streams_step {
	STREAMS_BEGUN,
	STREAMS_LISTENING, /* it has turned to the listener: it takes connections */
	STREAMS_VISITED,   /* it has taken one */
	STREAMS_ANSWERED,  /* and said something to a visitor */
};

struct streams {
	struct stream standard[3];
	struct stream listener;
	uint32_t listener_fd;   /* the guest's number for it; STREAMS_NO_FD without one */
	struct stream *sockets; /* owned; index i is number STREAMS_SOCKET_BASE + i */
	uint32_t n_sockets;
	uint32_t free;          /* the head of the free places */
	uint32_t n_visitors;    /* connections that were accepted and are open */
	uint32_t n_returned;    /* those in STREAM_RETURNED */
	unsigned unblocked;     /* bit i: the guest has made standard stream i non-blocking */
	bool exited;            /* the guest has ended itself, or has no visitor left in a drain */
	uint32_t exit_code;     /* as it says; 0 after a drain */
	uint64_t drain_ms;      /* since when nobody is to be accepted (drain.h); 0: not so */
	int broker_fd;          /* borrowed; where sockets are asked for; -1: of nobody ... */
	bool walled;            /* ... or, without that, of the kernel */
	int status_fd;          /* borrowed; where to tell the steps; -1: nowhere */
	enum streams_step step; /* the last that was told */
};

void streams_init(struct streams *s);
void streams_deinit(struct streams *s);
/* Takes over a listening socket and gives it the guest's number fd. */
void streams_set_listener(struct streams *s, int take_fd, uint32_t fd);

/* NULL when the number is none of ours. */
struct stream *streams_find(struct streams *s, uint32_t fd);
/* Whether the number belongs to sockets, open or closed, so that the engine must not see it. */
bool streams_is_socket_fd(const struct streams *s, uint32_t fd);

/*
 * Gives the listener away to a socket of the guest's, which listens in its place from now on. False
 * when there is none. streams_tell_status() is then for its call of listen.
 */
bool streams_move_listener(struct streams *s, struct stream *to);

/* Tells who waits for it that the guest has got so far. */
void streams_tell_status(struct streams *s, enum streams_step step);

/* Takes over a socket of the guest's own; on failure (-EMFILE, -ENOMEM) it stays the caller's. */
int streams_add_socket(struct streams *s, int take_fd, bool datagram, uint32_t *ret_fd);

/* The same with an accepted connection. Until the guest closes it, or has said all, its end is a
 * reset: an answer that a trap, or the death of this process, has cut must not look whole. */
int streams_add_visitor(struct streams *s, int take_fd, bool nonblock, uint32_t *ret_fd);

/* The guest ends by its own wish: so do the connections that it has left open. */
void streams_end_well(struct streams *s);

/* Closes a socket; lets go of a standard stream, whose number is the engine's from now on. */
void streams_drop(struct streams *s, uint32_t fd);

/* The engine has given the number `to` what had `from`; neither is a socket's. A standard stream
 * goes along. */
void streams_renumber(struct streams *s, uint32_t from, uint32_t to);

/* The guest has made a descriptor non-blocking. The last of the standard streams takes the
 * preopened listener along. */
void streams_never_hold_up(struct streams *s, uint32_t fd);

#endif
