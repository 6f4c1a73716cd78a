/* SPDX-License-Identifier: MIT */
/*
 * What a guest says to the broker, and hears. A guest behind the wall makes no connection and opens
 * no port by itself: it asks the supervisor, who hands it a socket that is ready.
 *
 * The guest is given one end of a SOCK_SEQPACKET pair. For each request it makes another such pair,
 * and sends one end of that along (SCM_RIGHTS, exactly one descriptor) with one struct
 * broker_request. On the other end comes one struct broker_answer, with a descriptor where there is
 * one to give. So there are no ids and no locks, any thread may ask, and a request is cancelled by
 * closing that end. Where that end is closed without an answer the supervisor has gone, or was out
 * of descriptors: ask again, or take it for EAGAIN.
 *
 * Descriptors of an answer are non-blocking (O_NONBLOCK): whoever wants to wait makes them so.
 *
 * Both sides are one machine and one version of this project; a request that isn't exactly of this
 * form is no mistake of a guest's program but an attack, and ends the instance. Numbers are the
 * host's order.
 */
#ifndef BROKER_BROKER_WIRE_H
#define BROKER_BROKER_WIRE_H

#include <stdint.h>

#define BROKER_REQUESTS_MAX 64 /* of an instance at a time; the next one waits in the socket */
#define BROKER_NAME_MAX 254    /* of a host, with its NUL (RFC 1035, 2.3.4) */
#define BROKER_ADDRS_MAX 2     /* one of each family */

enum broker_op {
	BROKER_RESOLVE = 1, /* name, family -> addrs: of our own making, good as long as the
			       instance lives */
	BROKER_CONNECT = 2, /* addr, port -> a connected stream socket */
	/*
	 * port, which is the application's word for it (0: any) -> a listening socket. The first
	 * one that an instance asks for is the one that visitors come by, whatever the port: it
	 * gets the listener that it was started with. So it asks for that one, too, and before all
	 * others: that is how the host knows what the application calls it.
	 */
	BROKER_LISTEN = 3,
	/* addr's family: a socket for datagrams, which nobody gets. It is asked for so that it
	 * stands in the log. */
	BROKER_DATAGRAMS = 4,
};

enum broker_family {
	BROKER_ANY = 0, /* of BROKER_RESOLVE: whatever there is */
	BROKER_IPV4 = 4,
	BROKER_IPV6 = 6,
};

struct broker_addr {
	uint8_t family;    /* enum broker_family */
	uint8_t bytes[16]; /* network order; of IPv4 the first four, the others 0 */
};

struct broker_request {
	uint8_t op; /* enum broker_op */
	uint8_t zero;
	uint16_t port;              /* 0 for BROKER_RESOLVE */
	struct broker_addr addr;    /* of BROKER_RESOLVE and BROKER_DATAGRAMS its family alone; of
				       BROKER_LISTEN what was asked to be bound */
	char name[BROKER_NAME_MAX]; /* of BROKER_RESOLVE, NUL-terminated and NUL behind that; else
				       all 0 */
};

struct broker_answer {
	/*
	 * 0 or an errno. BROKER_RESOLVE: ENOENT, no such name or one that isn't allowed
	 * (EAI_NONAME); EAGAIN, ask later (EAI_AGAIN). BROKER_CONNECT: EACCES, not allowed;
	 * ECONNREFUSED, ETIMEDOUT, ENETUNREACH, ...: as connect(2); ENOBUFS, max_connections of
	 * them are open. BROKER_LISTEN: EACCES, not among bind_ports. BROKER_DATAGRAMS: EACCES.
	 * Each: EMFILE, ENOMEM, of the supervisor's. A port that is listened on already is given
	 * again, the same socket.
	 */
	int32_t error;
	uint16_t port; /* of BROKER_LISTEN: the one that was bound, in the application's own
			  counting */
	uint8_t count; /* of BROKER_RESOLVE: of addrs */
	uint8_t zero;
	struct broker_addr addrs[BROKER_ADDRS_MAX];
};

#endif
