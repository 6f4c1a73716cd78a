/* SPDX-License-Identifier: MIT */
/*
 * The guest's side of broker_wire.h: one request from the wish to its answer. For wasmrun-guest and
 * for the library in the wasmtime command, so it needs the C library and nothing else.
 *
 * Any thread may ask, and as many as like to at a time. Whoever waits no longer is done with it:
 * the broker sees a closed descriptor.
 */
#ifndef BROKER_BROKER_CLIENT_H
#define BROKER_BROKER_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "broker/broker_wire.h"

/* The broker answers a dial within 250 ms, and has many: one that says nothing for so long is out
 * of order. */
#define BROKER_CLIENT_PATIENCE_MS 10000

struct broker_client {
	int fd; /* the end that the guest was given; borrowed. -1: there is no broker, and all is
		   refused */
	/*
	 * Waits for one of the `events` of poll(2) at `fd`, for BROKER_CLIENT_PATIENCE_MS at most,
	 * and for whatever else the guest must listen to. 0, or a negative errno: the request ends
	 * with that.
	 */
	int (*wait)(void *owner, int fd, short events);
	void *owner;
};

/* A `wait` with nothing else to listen to. `owner`: an int, the milliseconds; NULL: the above.
 * -ETIMEDOUT. */
int broker_client_wait(void *owner, int fd, short events);

/*
 * These return a negative errno where the broker has said so (broker_wire.h), or `wait`; or
 * -ECONNREFUSED, the broker is gone; -EIO, it answers nonsense; -EMFILE, -ENFILE, -ENOBUFS,
 * -ETOOMANYREFS, there is no descriptor left to ask with; -EAFNOSUPPORT, that is no internet
 * address.
 */

/* How many addresses the name has, from 1 to BROKER_ADDRS_MAX. -ENAMETOOLONG. */
int broker_client_resolve(const struct broker_client *c, const char *name,
	enum broker_family family, struct broker_addr ret_addrs[BROKER_ADDRS_MAX]);

/* A connected socket, close-on-exec and non-blocking. */
int broker_client_connect(
	const struct broker_client *c, const struct sockaddr *addr, socklen_t len);

/* A listening one, whose flags are not the guest's alone. ret_port: what to call its port, in the
 * host's order. */
int broker_client_listen(const struct broker_client *c, const struct sockaddr *addr, socklen_t len,
	uint16_t *ret_port);

/* -EACCES: a socket for datagrams isn't to be had. To ask for one is how the user hears of it. */
int broker_client_datagrams(const struct broker_client *c, enum broker_family family);

#endif
