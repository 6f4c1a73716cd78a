/* SPDX-License-Identifier: MIT */
/*
 * The broker: does for an application behind the wall what it can't do by itself, if the policy has
 * it so. There is one for an application, and a session for each of its instances, which asks by
 * broker/broker_wire.h.
 *
 * An instance is hostile. Nothing that it sends, or doesn't take, makes anybody wait; what no
 * client of ours would send ends the session, and the owner ends the instance.
 */
#ifndef OS_BROKER_H
#define OS_BROKER_H

#include <stdint.h>
#include <uv.h>

#include "os/outward.h"

struct app_ports;
struct broker;
struct broker_session;
struct conn_log;
struct network;
struct pump_pool;

struct broker_config {
	uv_loop_t *loop;
	struct pump_pool *pool; /* outlives the broker, as do the others */
	struct network *network;
	struct conn_log *log;
};

/* Of a session; never from within a call of the owner's. */
struct broker_events {
	/* It has sent what no client of ours sends: `why` is a clause. Nothing more is read. */
	void (*hostile)(void *owner, const char *why);
	void *owner;
};

/* For the loop's thread. -ENOMEM, and what stall_init() says. */
int broker_new(const struct broker_config *config, struct broker **ret_broker);

/* What the application calls its ports; lives as long as the broker. Who opens the gate says so
 * here. */
struct app_ports *broker_ports(struct broker *b);

/* The application's connections. */
struct outward *broker_outward(struct broker *b);

/* The descriptor for the instance is the caller's. 0 or negative errno. */
int broker_session_open(struct broker *b, const struct broker_events *events,
	struct broker_session **ret_session, int *ret_fd);

/* The same for one end of broker_channel_open() that was made before; it is taken over. */
int broker_session_adopt(struct broker *b, const struct broker_events *events, int fd,
	struct broker_session **ret_session);

/* Nothing more is heard of it: what it waits for is given up, what it has open goes on until the
 * instance is gone. Returns NULL; NULL is fine. */
struct broker_session *broker_session_close(struct broker_session *s);

/* When all sessions are closed. Ends all connections; `closed` is the last call, never from within.
 */
void broker_close(struct broker *b, void (*closed)(void *owner), void *owner);

#endif
