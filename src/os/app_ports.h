/* SPDX-License-Identifier: MIT */
/*
 * The ports of the application: what it calls them, and where on 127.0.0.1 the host listens for
 * them. The first one that it binds is the gate's, which visitors come by; the others, of
 * bind_ports, get listeners of the kernel's choice. Forwards, the tunnel, and the application's own
 * connections to itself go by this table, and look each time: a listener is there as long as an
 * instance has it, so that the one that replaces another gets the same, and nobody waits in a queue
 * that no instance will empty.
 */
#ifndef OS_APP_PORTS_H
#define OS_APP_PORTS_H

#include <stddef.h>
#include <stdint.h>

#include "os/network.h"

struct app_port {
	uint16_t port;      /* the application's; of the gate, 0: it has not said yet */
	uint16_t host_port; /* on 127.0.0.1; 0: there is none */
	int fd;             /* of the listener; borrowed of the gate, else owned; -1: none */
	unsigned users;     /* instances that have it; not counted of the gate */
};

struct app_ports {
	struct app_port gate;
	struct app_port others[NETWORK_BIND_PORTS_MAX];
};

void app_ports_init(struct app_ports *p);
void app_ports_deinit(struct app_ports *p);

/* Where the host listens now. `fd` is the gate's, and -1 when it is closed. */
void app_ports_set_gate(struct app_ports *p, int fd, uint16_t host_port);

/* The port of the host for one of the application; 0: nobody listens there. */
uint16_t app_ports_find(const struct app_ports *p, uint16_t port);

/* --- for the broker --- */

/* A listener for one more instance: its place in `others`. Negative errno: -ENOSPC and those of
 * listen(2). */
int app_ports_take(struct app_ports *p, uint16_t port);
void app_ports_give(struct app_ports *p, int at);

/* Ends the listeners that the policy no longer allows, for the instances that have them as well:
 * they keep their places, and get new ones there if it allows them again. */
void app_ports_limit(struct app_ports *p, const struct network *network);

#endif
