/* SPDX-License-Identifier: MIT */
/*
 * The text that names a forward, "[ADDR:]HOST_PORT[:APP_PORT]", as --forward and `wasmrun forward`
 * take it. Without ADDR it is 127.0.0.1; an IPv6 address stands in brackets. Without APP_PORT the
 * forward leads to what the tunnel shows.
 */
#ifndef OS_FORWARD_SPEC_H
#define OS_FORWARD_SPEC_H

#include <stdint.h>

#include "net/addr.h"
#include "net/host.h"

struct forward_spec {
	struct addr addr;  /* where to listen; port 0: the kernel's choice */
	uint16_t app_port; /* the application's; 0: what the tunnel shows */
};

/* -EINVAL: ret_why says why, as a clause. */
int forward_spec_parse(const char *text, struct forward_spec *ret_spec, char ret_why[HOST_WHY_MAX]);

/* The address alone, an IP address in any form of net/host.h, and the ports as numbers. */
int forward_spec_fill(const char *address, uint16_t host_port, uint16_t app_port,
	struct forward_spec *ret_spec, char ret_why[HOST_WHY_MAX]);

/* The parser as the `check` of a struct option_def. */
int forward_spec_check(int form, const char *text, char *ret_why);

#endif
