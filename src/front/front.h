/* SPDX-License-Identifier: MIT */
/*
 * The client's way to a relay behind an HTTP front: each connection that was made to the front is
 * led through it, by TLS where that is wanted and an upgrade (upgrade.h), and comes out as a socket
 * on which the wire begins.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "front/tls.h"
#include "net/host.h"

/* For TLS, the request and the answer together. */
#define FRONT_PASS_MS 5000

#define FRONT_WHY_MAX (TLS_WHY_MAX + 192)

struct front;
struct passage;

/*
 * `host` is the URL, `ca_file` as in tls_context_new(). -EINVAL: ret_why says what is wrong with
 * the file; or another negative errno.
 */
int front_new(uv_loop_t *loop, const struct host *host, const char *ca_file,
	struct front **ret_front, char ret_why[TLS_WHY_MAX]);

/* Ends what is under way, and resets what came out and goes through TLS. `closed` is the last call,
 * never from within. */
void front_close(struct front *front, void (*closed)(void *owner), void *owner);

/*
 * The outcome. fd >= 0: it is the owner's, and the wire begins with its first byte. Else `why` is
 * "cause; remedy", where "--%" begins the name of an option; it lives as long as the call. The
 * passage is gone.
 */
typedef void (*passage_fn)(void *owner, int fd, const char *why);

/* Leads the connection `fd` through; `done` follows, never from within, unless it is cancelled. 0:
 * the descriptor is taken. Negative errno: nothing was. */
int passage_start(
	struct front *front, int fd, passage_fn done, void *owner, struct passage **ret_passage);

/* `done` will not be called. */
void passage_cancel(struct passage *p);

#endif
