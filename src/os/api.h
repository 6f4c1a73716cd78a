/* SPDX-License-Identifier: MIT */
/*
 * The REST API and the page of one running instance. It decides nothing itself: it shows the
 * supervisor, the exposure and the log, and passes wishes on to them.
 *
 * The owner of those three hears of their events and passes them on to here, after they have
 * happened.
 */
#ifndef OS_API_H
#define OS_API_H

#include <uv.h>

#include "net/addr.h"
#include "os/supervisor.h"
#include "tunnel/tunnel.h"

struct api;
struct conn;
struct conn_log;
struct exchange;
struct exposure;
struct forwards;
struct log_line;
struct log_ring;
struct network;
struct network_decision;
struct os_run_config;
struct recorder;

/* What it points to outlives the API. */
struct api_config {
	uv_loop_t *loop;
	struct addr addr; /* where to listen; port 0: the kernel's choice */
	const struct os_run_config *run;
	struct supervisor *supervisor;
	struct exposure *exposure;
	struct forwards *forwards;
	struct log_ring *ring;
	struct network *network;
	struct conn_log *conns;
	struct recorder *recorder;
};

/* Listens. 0, or a negative errno: that of the socket, mostly. */
int api_new(const struct api_config *config, struct api **ret_api);

/* Others can find it now (os/run_file.h), and their applications can't reach it any more: closes
 * the connections that were faster. */
void api_found(struct api *api);

/* "http://127.0.0.1:8420/"; bound elsewhere than to loopback, with the token in the fragment. */
const char *api_url(const struct api *api);
uint16_t api_port(const struct api *api);
/* "" where none is asked for. For the run file, which is the user's own. */
const char *api_token(const struct api *api);

/* As the events of the supervisor, of the exposure and of the logs. */
void api_app_changed(struct api *api, const char *cause);
void api_tunnel_changed(
	struct api *api, enum tunnel_state old, enum tunnel_state new_state, const char *cause);
void api_connection_changed(struct api *api, const struct conn *conn);
void api_exchange_changed(struct api *api, const struct exchange *e);
void api_decision(struct api *api, const struct network_decision *decision);
void api_log_line(struct api *api, const struct log_line *line);

/* Before the supervisor and the exposure are closed. Requests that wait are answered; `closed` is
 * the last call, never from within. */
void api_close(struct api *api, void (*closed)(void *owner), void *owner);

#endif
