/* SPDX-License-Identifier: MIT */
/* One of the guest's descriptors that are read, written and waited for here (guest/streams.h). */
#ifndef GUEST_STREAM_H
#define GUEST_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"

enum stream_kind {
	STREAM_NONE,     /* a free place */
	STREAM_INPUT,    /* standard input */
	STREAM_OUTPUT,   /* standard output or error */
	STREAM_LISTENER, /* accepts */
	STREAM_SOCKET,   /* connected, or about to be; or datagrams */
	STREAM_RETURNED, /* draining: closed by the guest, and about to be accepted again */
	STREAM_LEFT,     /* draining: closed by the guest, and told the end */
};

struct stream {
	enum stream_kind kind;
	int fd;          /* owned for sockets, borrowed for standard streams; -1 when free */
	uint32_t number; /* the guest's, of a standard stream, which it may change */
	bool nonblock;   /* the guest is told EAGAIN rather than waited for */
	bool datagram;   /* a socket that moves datagrams */
	bool shared;     /* the listening socket that other processes have too */
	bool announced;  /* a listener: poll_oneoff() has said that there is a connection */
	/* Of one that the broker makes (guest/wasmedge_broker.c): */
	bool unmade;      /* it is neither bound nor connected yet; fd keeps its options */
	uint16_t options; /* bit i: option i of wasmedge_opt.c was set until then */
	struct addr told; /* what the guest hears: of a listener its own address, of a connection
			     the other end's; AF_UNSPEC: the kernel knows */
	uint64_t recv_timeout_ms, send_timeout_ms; /* of one call that blocks; 0 is none */
	/* What a drain has to know: */
	bool visitor;      /* a connection that was accepted here */
	bool asked;        /* bytes were read, and none written since */
	bool probed;       /* the last that was read, or looked for, was a single byte */
	bool ended;        /* draining: the guest was told the end */
	uint64_t moved_ms; /* draining: when bytes last moved, on the monotonic clock */

	uint32_t next_free; /* of a free place: the index of the next one, or STREAMS_NO_FD */
};

#endif
