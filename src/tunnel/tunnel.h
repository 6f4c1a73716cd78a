/* SPDX-License-Identifier: MIT */
/*
 * The client (`bore local`, `wasmrun os`): keeps one public port of a relay joined to a local
 * address. The life cycle is that of tunnel/machine.h; every visitor is a struct visitor.
 */
#ifndef TUNNEL_TUNNEL_H
#define TUNNEL_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/secret.h"
#include "net/host.h"
#include "net/pump_pool.h"
#include "proto/handshake.h"
#include "tunnel/machine.h"

struct tap;
struct tunnel;

enum tunnel_protocol {
	TUNNEL_AUTO, /* JSON; without a secret, one attempt in line when the answer is no bore */
	TUNNEL_BORE,
	TUNNEL_LINE, /* sends the secret in clear: must be asked for */
};

/* The words of the command line, wasmrun.toml and the API, by number; NULL behind the last. */
extern const char *const tunnel_protocol_names[];

/* Copied by tunnel_new(), texts and secret included. */
struct tunnel_config {
	struct host relay;  /* of HOST_RELAY, with its port */
	const char *tls_ca; /* for https://: a file of CAs; NULL: the system's */
	const char *local_host;
	uint16_t local_port;
	uint16_t port; /* wanted public port, 0: any */
	const struct secret *secret;
	enum tunnel_protocol protocol;
	bool reconnect;                /* false: --no-reconnect, a lost connection is Failed */
	bool retry;                    /* the first attempt is repeated as a reconnection is */
	uint64_t reconnect_timeout_ms; /* 1 h; 0: none */
	/* A constant, for remedies: what options of the tunnel begin with ("", "tunnel-"). */
	const char *option_prefix;
};

/* What went wrong for good, beside its text: the exit codes of `bore local` are made from it. */
enum tunnel_failure {
	TUNNEL_OK,
	TUNNEL_UNRESOLVED,  /* the relay's name does not resolve */
	TUNNEL_UNREACHABLE, /* no address of the relay could be connected */
	TUNNEL_FRONT,       /* the HTTP front before it lets nothing through */
	TUNNEL_NOT_BORE,    /* something else answers there, or nothing in time */
	TUNNEL_SECRET,      /* wrong, missing, not asked for, or not to be sent */
	TUNNEL_PORT,        /* the wanted port is taken or not allowed */
	TUNNEL_REFUSED,     /* the relay gave another reason */
	TUNNEL_LOST,        /* the connection was lost and not to be had again */
};

struct tunnel_status {
	enum tunnel_state state;
	uint16_t public_port; /* 0 unless Connected or Reconnecting */
	enum tunnel_failure failure;
	const char *error;        /* "cause; remedy" or NULL; until the next call into the tunnel */
	uint64_t since_ms;        /* wall clock of the last change of state */
	uint64_t next_attempt_ms; /* wall clock of the attempt that waits; 0: none does */
	uint64_t reconnects, conns_open, conns_total;
	uint64_t turned_away;         /* visitors that never reached the application */
	uint64_t bytes_in, bytes_out; /* from the visitors; to them */
	/* Of the relay's name, as far as they are known now. They live as long as the tunnel. */
	const struct addr *relay_addrs;
	size_t relay_addr_count;
	bool resumes, secure_wire; /* the relay granted `resume`; the dialect in use is JSON */
};

/* A visitor's connection, as told to the owner. */
struct tunnel_visit {
	const char *id;       /* UUID */
	const char *from;     /* "ip:port", NULL: the relay doesn't say */
	bool opened;          /* false: closed, and `why` is filled */
	uint64_t turned_away; /* closed, never reached the application: its number; else 0 */
	uint64_t bytes_in, bytes_out;
	uint64_t duration_ms; /* since the relay has announced it */
	const char *why;      /* how it ended, or why it was refused */
	struct flow *flow;    /* opened: until its end is told; may be closed (net/flow.h) */
	void **note;          /* the owner's, NULL at first; lives as long as the visit */
};

typedef void (*tunnel_visit_fn)(void *owner, const struct tunnel_visit *visit);

struct tunnel_events {
	/* The state has changed, or, with old == new, the public port (after a reconnection) or the
	 * error. */
	void (*state)(
		void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause);
	/* May be NULL; must not call into the tunnel, but for tunnel_status(). */
	tunnel_visit_fn visit;
	/* Right before a visit is opened: who looks on (net/tap.h), NULL nobody. May be NULL. */
	struct tap *(*tap)(void *owner, const struct tunnel_visit *visit);
	void *owner;
};

/* Negative errno. -ENOTSUP: the file of tls_ca is of no use, which was logged. */
int tunnel_new(uv_loop_t *loop, struct pump_pool *pool, const struct tunnel_config *config,
	const struct tunnel_events *events, struct tunnel **ret_tunnel);

/* Any state; joins what is under way. */
void tunnel_start(struct tunnel *t);
void tunnel_stop(struct tunnel *t); /* any state; open visitors are ended */
/* The network has changed or the user asks for it (SIGHUP): a waiting attempt is made now. */
void tunnel_hurry(struct tunnel *t);
void tunnel_status(const struct tunnel *t, struct tunnel_status *ret_status);
/* SIGTERM: no new visitors; `drained` when the open ones are done or after grace_ms. */
void tunnel_drain(struct tunnel *t, uint64_t grace_ms, void (*drained)(void *owner), void *owner);
/* Stops and frees; the ends of open visits are still told, and `closed` is the last call. */
void tunnel_close(struct tunnel *t, void (*closed)(void *owner), void *owner);

#endif
