/* SPDX-License-Identifier: MIT */
/*
 * Sockets and names by the broker (broker/broker_client.h), where there is one: WASMRUN_BROKER_FD
 * is the number of the process's end. What socket(2) has made is never connected itself: the
 * broker's socket is put over its descriptor. wasmtime waits for a descriptor (epoll(7)) only after
 * connect(2) or bind(2), so that it loses nothing by that.
 *
 * connect(2) waits for the broker, up to the 250 ms that it gives a dial, also on a socket that
 * doesn't block: wasmtime takes an error, or that it is connected, at once as well as later.
 */
#ifndef PRELOAD_OUTWARD_H
#define PRELOAD_OUTWARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct broker_client;

/* `fd` -1: there is no broker, and the C library does what it does. */
void outward_init(int fd);
bool outward_has_broker(void);

bool outward_is_tcp(int fd);

/* Tells the broker what the port of the inherited listener is called, which `fd` has become. */
void outward_name(int fd, const struct sockaddr *addr, socklen_t len);

/* bind(2) and listen(2) at once. 0, or -1 with errno. */
int outward_bind(int fd, const struct sockaddr *addr, socklen_t len);

/* Whether it is one of outward_bind(), which listens. */
bool outward_listens(int fd);

#endif
