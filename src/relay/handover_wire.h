/* SPDX-License-Identifier: MIT */
/*
 * What two relays of this machine say to each other when one follows the other, over a SEQPACKET
 * socket of the Unix family (unix(7)), one struct a message. The next relay asks, and each word of
 * it has one answer, so that neither ever writes more than the other's queue holds:
 *
 *   HANDOVER_GIVE    some listening sockets, with what is to be known of each. None: that was all
 *   HANDOVER_TAKEN   no more: from its answer on the sockets are the next relay's alone
 *
 * Both ends are processes of one user (SO_PEERCRED), so the structs need no other form than the
 * machine's, and a version for the day on which they change. What is received is checked all the
 * same.
 */
#ifndef RELAY_HANDOVER_WIRE_H
#define RELAY_HANDOVER_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "net/addr.h"
#include "proto/options.h"

#define HANDOVER_VERSION 1
#define HANDOVER_ITEMS_MAX 64 /* of a message; the kernel takes 253 descriptors (SCM_MAX_FD) */

enum handover_word {
	HANDOVER_GIVE = 1,
	HANDOVER_TAKEN,
};

struct handover_ask {
	uint32_t version;
	uint32_t word; /* enum handover_word */
};

struct handover_item {
	struct addr client; /* a tunnel's */
	uint32_t control;   /* 1: the control port's socket, and nothing else counts; 0: a tunnel */
	uint64_t age_ms;
	uint8_t token[OPTIONS_TOKEN_LEN]; /* that its client has got last */
};

/* With as many descriptors as items, in their order. */
struct handover_batch {
	uint32_t version;
	uint32_t count;
	struct handover_item items[HANDOVER_ITEMS_MAX];
	int fds[HANDOVER_ITEMS_MAX]; /* not on the wire; owned by the receiver */
};

/* -ENAMETOOLONG, -EINVAL (empty). */
int handover_wire_address(const char *path, struct sockaddr_un *ret_addr);

/* A socket of that kind, CLOEXEC. Negative errno. */
int handover_wire_socket(int flags, int *ret_fd);

/* 0; -EPERM: the other end is another user's process, who isn't root. */
int handover_wire_check_peer(int fd);

/* 0 or a negative errno; never waits on a non-blocking socket (-EAGAIN). */
int handover_wire_send_ask(int fd, enum handover_word word);
int handover_wire_send_batch(int fd, const struct handover_batch *batch);

/* The same, -EPROTO for what is no message of this version, -ECONNRESET at the end. On failure
 * nothing is to be closed. */
int handover_wire_receive_ask(int fd, enum handover_word *ret_word);
int handover_wire_receive_batch(int fd, struct handover_batch *ret_batch);

#endif
