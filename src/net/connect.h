/* SPDX-License-Identifier: MIT */
/*
 * Connecting to one address, without a wait. Sockets are non-blocking, CLOEXEC and as
 * sockopt_set_stream() makes them. When the ports of the machine are used up by
 * connections in TIME_WAIT (EADDRNOTAVAIL) one of those is taken over by an explicit bind.
 */
#ifndef NET_CONNECT_H
#define NET_CONNECT_H

struct addr;
struct local_ports;

/*
 * 1: connected; 0: under way, the descriptor becomes writable when it is decided and
 * sockopt_take_error() says how; *ret_fd is the caller's in both cases. Negative errno: it failed.
 * ENETUNREACH also stands for a machine that has no address to come from, and ECONNREFUSED for a
 * socket that has met itself. `ports` is what is known of the machine's free ports.
 */
int connect_addr(struct local_ports *ports, const struct addr *addr, int *ret_fd);

#endif
