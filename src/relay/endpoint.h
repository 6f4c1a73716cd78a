/* SPDX-License-Identifier: MIT */
/*
 * The public end of a tunnel: its port, and the count of the streams that came in there. It
 * outlives its session while streams go on, with the port closed.
 *
 * While max_pending visitors wait, of the tunnel or in all, further ones are left in the kernel's
 * queue: a burst comes through as fast as the client takes it, and a client that takes nobody
 * fills its own queue.
 */
#ifndef RELAY_ENDPOINT_H
#define RELAY_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/listener.h"
#include "net/timeouts.h"
#include "proto/options.h"
#include "relay/ports.h"

struct handover_item;
struct relay;
struct session;

enum endpoint_gate {
	ENDPOINT_OPEN,   /* visitors are accepted */
	ENDPOINT_TURN,   /* it was in the queue, and may accept one before those who still are */
	ENDPOINT_FULL,   /* paused: its own visitors are at the limit */
	ENDPOINT_QUEUED, /* paused: those of all are, so it is in relay->queued */
	ENDPOINT_HELD,   /* paused: it waits for its client, or to be handed over */
};

struct endpoint {
	struct relay *relay;
	struct listener listener;
	enum endpoint_gate gate;
	struct list queue_link;
	uint16_t port;
	struct session *session;  /* NULL: closed, or an orphan */
	struct addr client;       /* counted in limits.tunnels until it is closed */
	struct timeout orphan;    /* armed in relay->orphans: its client has not come back yet */
	bool handed_over;         /* the next relay has its socket, too */
	uint32_t waiting, joined; /* streams */
	bool has_token;           /* of the `resume` ability */
	uint8_t token[OPTIONS_TOKEN_LEN];
	uint64_t opened_ms;
	unsigned refs; /* the listener, the session and each stream */
};

/* Opens the wanted port (0: any) for a client at `from`. PORTS_OK, or why not. */
enum ports_refusal endpoint_open(struct relay *relay, uint16_t wanted, const struct addr *from,
	struct endpoint **ret_endpoint);

/*
 * A tunnel of the relay before, with its listening socket, which it owns from here on. Until its
 * client comes with the token it is an orphan, whose visitors wait in the kernel's queue; after
 * RELAY_ORPHAN_MS it is closed. What doesn't fit into the configuration is closed at once.
 */
void endpoint_adopt(struct relay *relay, const struct handover_item *item, int fd);

/* It is one no longer: its client is back, or it is to be closed. */
void endpoint_end_orphan(struct endpoint *e);

/* It goes on accepting, if it was held. */
void endpoint_release(struct endpoint *e);

void endpoint_close_orphans(struct relay *relay, const char *why);

/* Timeouts of relay->orphans. */
void endpoint_on_abandoned(struct timeouts *q, struct timeout *t);

/* No new visitors, ever; the port is free on return. For draining. */
void endpoint_stop_listening(struct endpoint *e);

/* The port is free on return; who waits there is closed, who is joined goes on. */
void endpoint_close(struct endpoint *e, const char *why);

/* One visitor less waits there: goes on accepting if it was full. */
void endpoint_relieve(struct endpoint *e);

/* Lets as many of the queued ones go on as there is room for, the longest queued first. */
void endpoint_resume_queued(struct relay *relay);

struct endpoint *endpoint_find(const struct relay *relay, uint16_t port);

/* Draws the next token. 0 or negative errno. */
int endpoint_renew_token(struct endpoint *e);

/* In constant time. */
bool endpoint_check_token(const struct endpoint *e, const uint8_t token[OPTIONS_TOKEN_LEN]);

/* It has been used, and is good for nothing more. */
void endpoint_void_token(struct endpoint *e);

void endpoint_ref(struct endpoint *e);
void endpoint_unref(struct endpoint *e);

#endif
