/* SPDX-License-Identifier: MIT */
/* The socket options that all TCP sockets here share (tcp(7), socket(7)). */
#ifndef NET_SOCKOPT_H
#define NET_SOCKOPT_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_info;

/* Quiet for this long: the kernel asks whether the peer is there. */
#define SOCKOPT_KEEP_IDLE_S 60
#define SOCKOPT_KEEP_INTERVAL_S 10 /* and again */
#define SOCKOPT_KEEP_COUNT 6       /* this many times without an answer: the connection is dead */

/* 0 or negative errno. */
int sockopt_set_int(int fd, int level, int name, int value);

/*
 * For a connection that stays on this machine: no congestion control that paces, like BBR, where
 * the system has that as its default. There is no link to pace for, and a timer per burst costs a
 * bulk transfer two thirds of its speed. Reno is always there and always allowed (tcp(7)).
 */
void sockopt_set_local(int fd);

/* The error that the kernel keeps for the socket, and keeps no longer: 0 or negative errno. */
int sockopt_take_error(int fd);

/* What the kernel knows of the connection (tcp(7), TCP_INFO). False: it is no TCP socket. */
bool sockopt_tcp_info(int fd, struct tcp_info *ret_info);

/* What the peer has not acknowledged yet, and what of it was not even sent: bytes, and a FIN as
 * one. */
uint64_t sockopt_queued(int fd);
uint64_t sockopt_unsent(int fd);

/*
 * No Nagle; urgent data stays in its place in the stream (SO_OOBINLINE), so that none of it is
 * lost; `remote`: keepalive with the times above, in place of the kernel's two hours. A peer on
 * this machine can't vanish without its kernel closing for it; sockopt_set_local() then. A socket
 * without them works as well, so failures are passed over.
 */
void sockopt_set_stream(int fd, bool remote);

/*
 * From now on close(2), and so the process' death of whatever, resets the connection and throws
 * away what the peer has not acknowledged (socket(7), SO_LINGER with 0). Lift it before an ordinary
 * close.
 */
void sockopt_set_reset(int fd);
void sockopt_lift_reset(int fd);
/* An ordinary close all the same: what was said still arrives. Nothing for -1. */
void sockopt_close_in_order(int fd);

#endif
