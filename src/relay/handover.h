/* SPDX-License-Identifier: MIT */
/*
 * --handover: the way in which one relay follows another without losing a visitor. The relay that
 * serves listens at a path; the next one, started beside it with the same options, connects there
 * (relay/takeover.h) and gets its listening sockets. They are the same sockets of the kernel, so
 * that who comes meanwhile waits in their queues, and is nowhere refused.
 */
#ifndef RELAY_HANDOVER_H
#define RELAY_HANDOVER_H

struct handover;
struct relay;

#define HANDOVER_QUIET_MS 3000 /* for handshakes and waiting visitors to come to their end */
#define HANDOVER_STEP_MS 10000 /* for each word of the next relay */

/*
 * Listens at `path`, in the place of a socket that stands there and nobody listens at any more; who
 * may connect is the same user, and root. -EEXIST: it is no socket. Negative errno.
 */
int handover_open(struct relay *relay, const char *path, struct handover **ret_handover);

/* The end of a turn: goes on where the hand-over waited for others. Takes NULL. */
void handover_turn(struct handover *h);

/* Its memory goes with its last handle, and counts as one of the relay's objects until then. Takes
 * NULL; returns NULL. */
struct handover *handover_close(struct handover *h);

#endif
