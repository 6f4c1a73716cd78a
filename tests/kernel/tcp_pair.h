/* SPDX-License-Identifier: MIT */
/* Connected TCP sockets and epoll for the tests of kernel facts. Failed set-up ends the test. */
#ifndef TESTS_KERNEL_TCP_PAIR_H
#define TESTS_KERNEL_TCP_PAIR_H

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A listener on a port of the kernel's choice; ret_addr is where it listens. */
int tcp_listen(struct in_addr host, struct sockaddr_in *ret_addr);

/* Both ends over loopback, blocking; ret_fd[0] connected, ret_fd[1] was accepted. */
void tcp_pair(int ret_fd[2]);

/* Closes with a reset. */
void tcp_reset(int fd);

/* Waits until the peer's kernel has acknowledged all that was sent, FIN included. */
void tcp_wait_acknowledged(int fd);

/* Waits until poll(2) reports all of the events, and returns what an edge-triggered epoll says
 * then. */
uint32_t tcp_wait_events(int fd, uint32_t events);

#endif
