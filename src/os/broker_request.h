/* SPDX-License-Identifier: MIT */
/*
 * A guest's request as it comes: all of it is hostile until broker_request_check() has passed it,
 * and so is each descriptor that comes with it.
 */
#ifndef OS_BROKER_REQUEST_H
#define OS_BROKER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/broker_wire.h"

struct stall;

enum broker_received {
	BROKER_RECEIVED_NONE = 0, /* no more is there */
	BROKER_RECEIVED = 1,
	BROKER_RECEIVED_END,     /* the guest has closed its end */
	BROKER_RECEIVED_SHORT,   /* one came, and was lost for want of a descriptor here */
	BROKER_RECEIVED_HOSTILE, /* nothing that a client of ours sends; *ret_why says what */
};

/* Whether the bytes are a request. Pure. NULL: they are; else a clause that says why they are none.
 */
const char *broker_request_check(const void *data, size_t len, struct broker_request *ret_request);

/*
 * Takes the next one from the socket, without a wait. BROKER_RECEIVED: *ret_fd is the caller's, and
 * one end of a SOCK_SEQPACKET pair, to be closed by stall_close(): its queue may hold anything.
 * *ret_held: the guest has made us wait.
 */
enum broker_received broker_request_receive(int fd, struct stall *stall,
	struct broker_request *ret_request, int *ret_fd, const char **ret_why, bool *ret_held);

/* A pair whose first end takes requests, and whose second one is for the guest. 0 or negative
 * errno. */
int broker_channel_open(int ret_fds[2]);

/* `fd` -1: none. 0 or negative errno; what the guest doesn't take at once is dropped. */
int broker_answer_send(int to, const struct broker_answer *answer, int fd);

#endif
