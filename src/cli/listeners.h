/* SPDX-License-Identifier: MIT */
/*
 * Where a port is listened on, by the kernel's tables of TCP sockets, /proc/net/tcp and
 * /proc/net/tcp6 (proc_pid_net(5)).
 */
#ifndef CLI_LISTENERS_H
#define CLI_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct addr;

/* The address of one row. False: its socket doesn't listen, or it is no row. */
bool listeners_parse(const char *row, struct addr *ret_addr);

/*
 * Adds the addresses of the table at which `port` is listened on to `text`, a string, each once,
 * with ", " between them. One that no longer fits is left out. A table that is NULL has none.
 */
void listeners_add(FILE *table, uint16_t port, char *text, size_t size);

#endif
