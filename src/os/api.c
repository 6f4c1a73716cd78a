/* SPDX-License-Identifier: MIT */
/*
 * Joins the routes with what they show. The supervisor, the exposure and the log are not ours:
 * their owner passes their events on (api_app_changed() and so on), and each becomes an event for
 * those who read /api/events. A change of the tunnel may also answer the starts that wait for it.
 *
 * Closing goes from the outside in. The requests that wait are answered and the streams of events
 * are ended; the server closes when no request is kept any more; then the two timers are closed,
 * and the callback of the last one frees everything.
 */
#include "os/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/uuid.h"
#include "http/http_server.h"
#include "http/json_text.h"
#include "os/api_internal.h"

/* The addresses by whose names http/access.h knows the user's own programs; the rest of 127.0.0.0/8
 * is none of them. */
static bool api_is_at_localhost(const struct addr *addr)
{
	if (addr->sa.sa_family == AF_INET)
		return addr->in4.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	return addr_is_loopback(addr);
}

/* At another address the page's URL holds a secret of 122 random bits. It stands in the fragment,
 * which browsers never send. */
static int api_make_token(struct api *api)
{
	struct uuid uuid;
	int r;

	if (api_is_at_localhost(&api->config.addr))
		return 0;
	r = uuid_random(&uuid);
	if (r == 0)
		uuid_format(&uuid, api->token);
	return r;
}

static void api_freep(struct api **api)
{
	if (!*api)
		return;
	free((*api)->routes);
	free(*api);
}

int api_new(const struct api_config *config, struct api **ret_api)
{
	_cleanup_(api_freep) struct api *api = calloc(1, sizeof(*api));
	char text[ADDR_TEXT_MAX];
	int r;

	if (!api)
		return -ENOMEM;
	api->config = *config;
	api->routes = api_routes_new(&api->route_count);
	if (!api->routes)
		return -ENOMEM;
	r = api_make_token(api);
	if (r < 0)
		return r;
	r = http_server_new(config->loop,
		&(struct http_server_config){
			.addr = config->addr,
			.token = api->token[0] ? api->token : NULL,
			.routes = api->routes,
			.route_count = api->route_count,
			.owner = api,
		},
		&api->server);
	if (r < 0)
		return r;
	(void)snprintf(api->url, sizeof(api->url), "http://%s/%s%s",
		addr_format(http_server_addr(api->server), text), api->token[0] ? "#token=" : "",
		api->token);
	job_line_init(&api->file_jobs, config->loop);
	api_waiters_init(api);
	api_check_init(api);
	api_events_init(api);
	*ret_api = take_ptr(api);
	return 0;
}

void api_found(struct api *api)
{
	http_server_drop_waiting(api->server);
}

const char *api_url(const struct api *api)
{
	return api->url;
}

uint16_t api_port(const struct api *api)
{
	return addr_port(http_server_addr(api->server));
}

const char *api_token(const struct api *api)
{
	return api->token;
}

void api_app_changed(struct api *api, const char *cause)
{
	json_t *app = api_app_json(api);

	if (app)
		(void)json_object_set_new(app, "cause", json_text_or_null(cause));
	api_events_publish(api, API_EVENT_APP, app);
}

void api_tunnel_changed(
	struct api *api, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	json_t *tunnel;

	api_check_forget(api, NULL);
	tunnel = api_tunnel_json(api);
	if (tunnel)
		(void)json_object_set_new(tunnel, "cause", json_text_or_null(cause));
	api_events_publish(api, API_EVENT_TUNNEL, tunnel);
	if (new_state != TUNNEL_CONNECTING && new_state != TUNNEL_RECONNECTING)
		api_waiters_answer(api);
}

void api_on_handle_closed(struct api *api)
{
	void (*closed)(void *owner) = api->closed;
	void *owner = api->closed_owner;

	if (--api->handles)
		return;
	api_freep(&api);
	closed(owner);
}

static void api_on_tick_closed(uv_handle_t *handle)
{
	api_on_handle_closed(container_of((uv_timer_t *)handle, struct api, tick_timer));
}

static void api_on_waiters_closed(uv_handle_t *handle)
{
	api_on_handle_closed(container_of((uv_timer_t *)handle, struct api, waiters.timer));
}

static void api_on_server_closed(void *owner)
{
	struct api *api = owner;

	timeouts_close(&api->waiters, api_on_waiters_closed);
	uv_close((uv_handle_t *)&api->tick_timer, api_on_tick_closed);
}

void api_close(struct api *api, void (*closed)(void *owner), void *owner)
{
	api->closed = closed;
	api->closed_owner = owner;
	api_waiters_answer(api);
	api_check_forget(api, "wasmrun ends");
	api_files_close(api);
	api_replay_close(api);
	sse_hub_end(&api->hub);
	http_server_close(api->server, api_on_server_closed, api);
}
