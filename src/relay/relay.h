/* SPDX-License-Identifier: MIT */
/*
 * The relay (`bore server`): takes control connections, gives each a public port, announces
 * visitors and joins them with the data connections that the clients open for them.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <uv.h>

#include "base/secret.h"
#include "front/trusted.h"
#include "net/addr.h"
#include "net/pump_pool.h"

struct conn_log;
struct relay;
struct takeover;

struct relay_config {
	struct addr bind_addr; /* control address with its port (0: the kernel's choice) */
	bool bind_dual; /* the default: [::] dual-stack, 0.0.0.0 where IPv6 is off; bind_addr is
			   ignored but for its port */
	struct addr bind_tunnels; /* where public ports listen; its port is ignored */
	bool bind_tunnels_dual;   /* as bind_dual */
	uint16_t min_port, max_port;
	const struct secret *secret; /* set: required of every connection */
	bool line_dialect;
	/* Limits. 0 is not "none": the option table gives the defaults and ranges. */
	uint32_t max_tunnels_per_addr;                   /* 64 */
	uint32_t max_pending_per_tunnel, max_pending;    /* 128, 4096 */
	uint32_t max_conns_per_tunnel, max_conns;        /* 4096, 65536 */
	uint32_t max_handshakes;                         /* 256 */
	uint32_t max_ready_per_tunnel, max_ready;        /* 64, 8192; 0: no warm connections */
	uint64_t max_tunnel_age_ms;                      /* 0: none */
	uint64_t grace_ms;                               /* drain at SIGTERM */
	uint64_t half_close_timeout_ms, idle_timeout_ms; /* the pool's, to be told in the metrics */
	struct trusted trusted;    /* proxies that are believed about their clients */
	struct conn_log *conn_log; /* not owned, outlives the relay; NULL: none but the log */
};

/* One thing that happened, for --json, --connection-log and the log. Texts live as long as the
 * call. */
enum relay_event_type {
	RELAY_LISTENING,     /* addr */
	RELAY_TUNNEL_OPENED, /* port, addr of the client */
	RELAY_TUNNEL_RESUMED,
	RELAY_TUNNEL_ADOPTED, /* its socket is there, of the relay before; its client is to come */
	RELAY_TUNNEL_HANDED_OVER, /* as CLOSED: the next relay has the port */
	RELAY_TUNNEL_CLOSED,      /* + duration, why */
	RELAY_TUNNEL_REFUSED,     /* addr, why */
	RELAY_VISITOR_OPENED,     /* port, addr of the visitor, id */
	RELAY_VISITOR_CLOSED,     /* + bytes, duration, why */
	RELAY_HANDED_OVER, /* the next relay has the ports: relay_drain() is to follow, from within
			    */
	RELAY_DRAINING,
	RELAY_EVENT_TYPES,
};

struct relay_event {
	enum relay_event_type type;
	const struct addr *addr;
	uint16_t port;                /* public */
	const char *id;               /* the visitor's UUID, or NULL */
	uint64_t bytes_in, bytes_out; /* from the visitor; to the visitor */
	uint64_t duration_ms;
	const char *why;
};

/* "visitor_closed" */
const char *relay_event_name(enum relay_event_type type);

typedef void (*relay_event_fn)(void *owner, const struct relay_event *event);

/* Builds it; nothing listens yet. `config` is copied, but for what it points to. */
int relay_new(uv_loop_t *loop, struct pump_pool *pool, const struct relay_config *config,
	relay_event_fn event, void *owner, struct relay **ret_relay);

/*
 * Starts to listen, with what the relay before has given where that fits the configuration.
 * `before` may be NULL. Negative errno, *ret_addr is the address that was tried or is
 * listened on.
 */
int relay_start(struct relay *relay, struct takeover *before, struct addr *ret_addr);

/* From now on the next relay may take over by the socket at `path`. Negative errno, -EEXIST: what
 * is there is no socket. */
int relay_offer(struct relay *relay, const char *path);

/*
 * Drains: no new tunnels or visitors; open streams finish within the grace period, then are ended;
 * `drained` runs when nothing is open. A second call ends everything at once. After a hand-over the
 * clients are sent to the next relay: all but those that can't resume and have visitors.
 */
void relay_drain(struct relay *relay, void (*drained)(void *owner), void *owner);

/* Ends everything at once; `closed` runs when the memory is gone. The pool is closed by its owner
 * afterwards. */
void relay_close(struct relay *relay, void (*closed)(void *owner), void *owner);

/* Prometheus text format 0.0.4: every limit, counts, bytes, pipes. */
void relay_write_metrics(const struct relay *relay, FILE *out);

#endif
