/* SPDX-License-Identifier: MIT */
/*
 * The application's public address: the tunnel of one `wasmrun os`, made anew when it is started
 * with other settings. It joins the application's port and nothing else.
 */
#ifndef OS_EXPOSURE_H
#define OS_EXPOSURE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "tunnel/tunnel.h"

struct exposure;
struct os_run_config;
struct pump_pool;
struct pump_stats;
struct secret;
struct supervisor;

/* Settings of one start; what is NULL, 0 or not `..._set` is that of the configuration. */
struct exposure_settings {
	const char *server; /* of HOST_RELAY */
	const struct secret *secret;
	uint16_t port;
	enum tunnel_protocol protocol;
	bool port_set, protocol_set;
};

struct exposure_status {
	struct tunnel_status tunnel;
	const char *server;     /* HOST:PORT or URL, of the current or the last start */
	const char *public_url; /* "http://HOST:PORT"; NULL unless Connected or Reconnecting */
	uint16_t local_port;    /* the application's */
	uint64_t expires_ms;    /* wall clock of the end that --expire sets; 0: none */
	/* What is spoken while there is a public URL; else what the current or the last start was
	 * told. */
	enum tunnel_protocol protocol;
	bool has_secret; /* the current or the last start */
};
/* The texts are valid until the next call into the exposure. */

enum exposure_condition {
	EXPOSURE_OTHER_SETTINGS = 1, /* active with other settings: stop it first */
	EXPOSURE_NO_APPLICATION,     /* the supervisor is stopped, or failed, or about to stop */
};

struct exposure_events {
	/* As those of struct tunnel_events. The ends of visits are told while it closes, too. */
	void (*state)(
		void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause);
	tunnel_visit_fn visit;
	struct tap *(*tap)(void *owner, const struct tunnel_visit *visit);
	void *owner;
};

int exposure_new(uv_loop_t *loop, struct pump_pool *pool, const struct os_run_config *config,
	const struct supervisor *supervisor, const struct exposure_events *events,
	struct exposure **ret_exposure);

/* `settings` NULL: all from the configuration. Joins what is under way with the same settings. 0
 * (the events tell the outcome), an enum exposure_condition, or a negative errno. */
int exposure_start(struct exposure *e, const struct exposure_settings *settings);
/* Any state. */
void exposure_stop(struct exposure *e);
void exposure_hurry(struct exposure *e);
void exposure_status(struct exposure *e, struct exposure_status *ret_status);

/* How visitors' connections are moved. */
void exposure_pump_stats(const struct exposure *e, struct pump_stats *ret_stats);

/* Stops and frees; `closed` is the last call, never from within. */
void exposure_close(struct exposure *e, void (*closed)(void *owner), void *owner);

#endif
