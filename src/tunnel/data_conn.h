/* SPDX-License-Identifier: MIT */
/*
 * The relay's end of a visitor's flow: a connection to the relay that asks for the visitor with
 * Accept, and is his stream from then on. It is the `greet` of the dial target visitors->relay.
 */
#ifndef TUNNEL_DATA_CONN_H
#define TUNNEL_DATA_CONN_H

#include "net/pump_pool.h"

struct dial_target;
struct flow;

int data_conn_greet(struct dial_target *t, struct flow *f, enum pump_side side, int *fd);

#endif
