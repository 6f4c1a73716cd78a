/* SPDX-License-Identifier: MIT */
/*
 * What the failure of an attempt means for the next one, and the one line that names its cause and
 * its remedy. Pure.
 */
#ifndef TUNNEL_FAILURE_H
#define TUNNEL_FAILURE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/client_handshake.h"
#include "tunnel/machine.h"
#include "tunnel/tunnel.h"

#define FAILURE_TEXT_MAX 512 /* a line and its NUL; what is longer is cut */

struct failure {
	enum tunnel_failure kind;
	enum machine_verdict verdict;
	char text[FAILURE_TEXT_MAX];
};

/* `relay` is HOST:PORT or a URL, `host` its name. One that did not resolve (a uv_getaddrinfo
 * error), or no address of it that connects (errno).
 */
void failure_of_dial(
	struct failure *f, const char *relay, const char *host, int error, bool resolving);

/* `reason` is hs->failure or what the cut of the conversation means; `option_prefix` as of struct
 * tunnel_config. */
void failure_of_handshake(struct failure *f, const char *relay, const char *option_prefix,
	const struct client_handshake *hs, enum handshake_failure reason);

/* `relay` is a URL; `why` as of passage_fn: what the HTTP front there has said or done. */
void failure_of_front(
	struct failure *f, const char *relay, const char *option_prefix, const char *why);

/* This end has no memory or no descriptors. */
void failure_of_system(struct failure *f, int error);

#endif
