/* SPDX-License-Identifier: MIT */
/*
 * A module without sockets as a server, as WAGI has it: each request is one run of it, in an
 * instance of its own, with RFC 3875's variables, the body as standard input, and a CGI response as
 * standard output. Nothing survives a request but what stands in the folders of the config.
 */
#ifndef GUEST_CGI_H
#define GUEST_CGI_H

struct guest_config;

#define CGI_WORKERS 16             /* requests that run at a time */
#define CGI_MEMORY_MAX (256 << 20) /* of an instance, unless the config says so */
#define CGI_OUTPUT_MAX (32 << 20)  /* of a response */

/* Serves until a drain. Returns 0, or an enum guest_exit, and the config's end says why. */
int cgi_run(struct guest_config *config);

#endif
