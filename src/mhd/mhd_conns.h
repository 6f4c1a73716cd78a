/* SPDX-License-Identifier: MIT */
/*
 * The connections of a server on libmicrohttpd, and what that library doesn't look after. A byte
 * now and then would hold a connection for ever: each has a deadline for what its peer has to send.
 * A peer's end that comes with its last bytes is missed: it is looked for. A close while the peer
 * still sends would take the answer from it: see net/lingering.h.
 *
 * A set has no lock and no timer. Its owner calls mhd_conns_sweep() after MHD_SWEEP_MS, or after
 * MHD_SWEEP_CROWDED_MS once half of all places are taken, and lingering_run() when there is
 * something to read.
 */
#ifndef MHD_MHD_CONNS_H
#define MHD_MHD_CONNS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "net/lingering.h"

#define MHD_SWEEP_MS 1000
#define MHD_SWEEP_CROWDED_MS 100

/* Embedded in the owner's own, which is libmicrohttpd's socket context. */
struct mhd_conn {
	struct list link;     /* in set->open */
	int fd;               /* libmicrohttpd's */
	bool peer_ended;      /* libmicrohttpd has been told */
	uint64_t deadline_ms; /* monotonic; UINT64_MAX: it is our turn, not the peer's */
};

struct mhd_conns {
	struct list open;
	size_t count;
	struct lingering lingering;
};

/* 0 or negative errno. */
int mhd_conns_init(struct mhd_conns *set);

/* The connections are gone. Fine on a set whose mhd_conns_init() has failed. */
void mhd_conns_deinit(struct mhd_conns *set);

/* The owner's own; NULL: it has made none. */
void *mhd_conn_of(struct MHD_Connection *connection);

/* A connection has come, or is about to be closed: for MHD_OPTION_NOTIFY_CONNECTION. `conn` NULL:
 * there was no memory for it, and the connection is ended. */
void mhd_conns_add(struct mhd_conns *set, struct mhd_conn *conn, struct MHD_Connection *connection);
void mhd_conns_remove(struct mhd_conns *set, struct mhd_conn *conn);

/* Shuts a connection down on both sides, and libmicrohttpd closes it. */
void mhd_conn_end(struct mhd_conn *conn);

/* Ends who is late, tells libmicrohttpd of the peers that have ended, and goes on with the closed
 * connections that linger. */
void mhd_conns_sweep(struct mhd_conns *set, uint64_t now_ms);

#endif
