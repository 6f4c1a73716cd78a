/* SPDX-License-Identifier: MIT */
/*
 * Drain: SIGUSR1 says that another process takes the visitors from now on. The guest gets no new
 * connection any more, finishes those that it has, and ends with code 0 when the last is closed.
 *
 * Servers keep an idle connection open for the visitor's next request, so it would last for ever.
 * The guest is told the end of one that has been idle for a while, and closes it as it closes one
 * that the visitor ended; on the host nothing happens until then. A request that arrived in the
 * meantime comes back to the guest as a new connection, which it is by all that the guest knows:
 * everything before was answered. Without one, the visitor is told the end, and the socket is kept
 * open until the visitor has closed too: late bytes to a closed one would be answered by a reset.
 */
#ifndef GUEST_DRAIN_H
#define GUEST_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

struct stream;
struct streams;

/* Nothing came and nothing went for so long: no visitor is about to send the next request. Short,
 * because whoever reloads a page after its program was replaced wants to see the new one. */
#define DRAIN_IDLE_MS 1000

/* How long visitors who were told the end have to close their own side. */
#define DRAIN_LINGER_MS 1000

/* Takes SIGUSR1, for the whole process. Returns 0 or a negative errno. */
int drain_open(void);
void drain_close(void);

/* Readable once the signal came; -1 before drain_open(). */
int drain_fd(void);

/* Whether the guest is draining; the first call after the signal marks the streams. */
bool drain_check(struct streams *s);

/* No visitor is left. */
bool drain_is_over(const struct streams *s);

/*
 * A visitor's connection that waits for a request. drain_idle_at() is the time, on the monotonic
 * clock, from when on it is idle if nothing moves, UINT64_MAX for none; drain_is_idle() asks at a
 * moment when there is nothing to read.
 */
uint64_t drain_idle_at(const struct streams *s, const struct stream *stream);
bool drain_is_idle(const struct streams *s, struct stream *stream);

/* The guest closes a connection whose end it was told. */
void drain_leave(struct streams *s, struct stream *stream);

/* A connection that comes back: its number, or STREAMS_NO_FD. */
uint32_t drain_return(struct streams *s, bool nonblock);

/* Tells all visitors who are still here the end, and waits for theirs. */
void drain_end(struct streams *s);

#endif
