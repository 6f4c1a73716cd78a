/* SPDX-License-Identifier: MIT */
/*
 * The client's end of TLS, for connections that are plain sockets to everybody else. A tls_link
 * stands between the connection to the peer and one half of a TCP pair over loopback
 * (net/stream_pair.h), and moves bytes from the one to the other; its owner gets the other half,
 * which has a FIN where the peer has ended, and a reset where it was cut. So a chan and a pump know
 * nothing of TLS, and connections without it are spliced as ever.
 *
 * The cost: all links run on the loop that made them, each byte is copied three times more than
 * without, and never spliced. That is meant for a client with some hundred Mbit/s, not for a relay.
 */
#ifndef FRONT_TLS_H
#define FRONT_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"

#define TLS_WHY_MAX 320
#define TLS_MOVED_MAX 65536 /* bytes of a link in one turn of the loop, in each direction */

struct tls_context;
struct tls_link;

/*
 * For connections to `name` (a name of DNS or an address), whose certificate must be for it, and
 * signed by whoever the system trusts or, where `ca_file` isn't NULL, by those in that file alone.
 * TLS 1.2 at least, ALPN "http/1.1". -EINVAL: ret_why is a clause that says what is wrong with the
 * file.
 */
int tls_context_new(const char *name, const char *ca_file, struct tls_context **ret_context,
	char ret_why[TLS_WHY_MAX]);
struct tls_context *tls_context_free(struct tls_context *context);

struct tls_events {
	/* The handshake has failed: "cause; remedy", where "--%" begins the name of an option. The
	 * owner's half is reset. */
	void (*failed)(void *owner, const char *why);
	/* The memory is gone, for whatever reason; the last call. */
	void (*closed)(void *owner);
	void *owner;
};

/*
 * Takes over a connected descriptor and begins the handshake; bytes may be written to the owner's
 * half at once. 0: *ret_fd is the owner's, and `closed` follows, never from within. Negative errno:
 * nothing was taken.
 */
int tls_link_open(struct tls_context *context, uv_loop_t *loop, int fd,
	const struct tls_events *events, struct tls_link **ret_link, int *ret_fd);

/* `failed` isn't called any more. */
void tls_link_forget(struct tls_link *link);

/* Resets both ends. `closed` follows, never from within. */
void tls_link_abort(struct tls_link *link);

#endif
