/* SPDX-License-Identifier: MIT */
/*
 * The three tunnel calls. A start that is not decided at once keeps its request: every waiter is
 * answered at the tunnel's next change to a state that decides, or after API_START_WAIT_MS.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/secret.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "net/host.h"
#include "os/api_internal.h"
#include "os/exposure.h"

#define MISTAKE_MAX (HOST_WHY_MAX + 64)

struct start_waiter {
	struct timeout timeout; /* in api->waiters */
	struct http_request *request;
};

/* --- what the status says --- */

static json_t *tunnel_number_or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

json_t *api_tunnel_json(struct api *api)
{
	struct exposure_status status;
	const struct tunnel_status *tunnel = &status.tunnel;

	exposure_status(api->config.exposure, &status);
	return json_pack(
		"{s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:I, s:{s:I, s:I}, "
		"s:{s:I, s:I}, s:o, s:o}",
		"success", 1, "status", tunnel_state_name(tunnel->state), "public_url",
		json_text_or_null(status.public_url), "public_port",
		tunnel_number_or_null(tunnel->public_port), "server",
		json_text_or_null(status.server), "local_port",
		tunnel_number_or_null(status.local_port), "since",
		tunnel_number_or_null(tunnel->since_ms), "next_attempt",
		tunnel_number_or_null(tunnel->next_attempt_ms), "expires",
		tunnel_number_or_null(status.expires_ms), "protocol",
		tunnel_protocol_names[status.protocol], "has_secret", status.has_secret,
		"reconnects", (json_int_t)tunnel->reconnects, "connections", "open",
		(json_int_t)tunnel->conns_open, "total", (json_int_t)tunnel->conns_total, "bytes",
		"in", (json_int_t)tunnel->bytes_in, "out", (json_int_t)tunnel->bytes_out, "error",
		json_text_or_null(tunnel->error), "check", api_check_json(api));
}

void api_tunnel_status(void *owner, struct http_request *request)
{
	http_reply_json(request, 200, api_tunnel_json(owner));
}

/* --- start --- */

static void start_reply(struct api *api, struct http_request *request)
{
	struct exposure_status status;
	const char *word;

	exposure_status(api->config.exposure, &status);
	word = tunnel_state_name(status.tunnel.state);
	switch (status.tunnel.state) {
	case TUNNEL_CONNECTED:
	case TUNNEL_CONNECTING:
	case TUNNEL_RECONNECTING:
		http_reply_json(request, status.tunnel.state == TUNNEL_CONNECTED ? 200 : 202,
			json_pack("{s:b, s:o, s:s}", "success", 1, "public_url",
				json_text_or_null(status.public_url), "status", word));
		break;
	case TUNNEL_FAILED:
		http_reply_json(request, 502,
			json_pack("{s:b, s:s, s:o}", "success", 0, "status", word, "error",
				json_text_or_null(status.tunnel.error)));
		break;
	default:
		http_reply_json(request, 409,
			json_pack("{s:b, s:s, s:s}", "success", 0, "status", word, "error",
				"the tunnel was stopped meanwhile"));
		break;
	}
}

static void waiter_answer(struct api *api, struct start_waiter *waiter)
{
	start_reply(api, waiter->request);
	free(waiter);
}

static void waiter_on_timeout(struct timeouts *q, struct timeout *timeout)
{
	waiter_answer(q->owner, container_of(timeout, struct start_waiter, timeout));
}

void api_waiters_init(struct api *api)
{
	timeouts_init(&api->waiters, api->config.loop, API_START_WAIT_MS, waiter_on_timeout, api);
	api->handles++;
}

void api_waiters_answer(struct api *api)
{
	list_for_each_safe(pos, &api->waiters.queue) {
		struct start_waiter *waiter = list_entry(pos, struct start_waiter, timeout.link);

		timeout_disarm(&waiter->timeout);
		waiter_answer(api, waiter);
	}
}

static void start_wait(struct api *api, struct http_request *request)
{
	struct start_waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter) {
		http_reply_error(request, 500, "out of memory");
		return;
	}
	waiter->request = request;
	timeout_init(&waiter->timeout);
	timeouts_arm(&api->waiters, &waiter->timeout);
}

/* --- its body --- */

/* Each returns NULL, or what is wrong. */
static const char *settings_read_server(
	json_t *value, struct exposure_settings *settings, char mistake[MISTAKE_MAX])
{
	char why[HOST_WHY_MAX];

	settings->server = json_string_value(value);
	if (!settings->server)
		return "is no text";
	if (host_check(HOST_RELAY, settings->server, why) == 0)
		return NULL;
	(void)snprintf(
		mistake, MISTAKE_MAX, "is no HOST, HOST:PORT or URL of an HTTP front: %s", why);
	return mistake;
}

static const char *settings_read_port(json_t *value, struct exposure_settings *settings)
{
	json_int_t port = json_integer_value(value);

	if (!json_is_integer(value) || port < 0 || port > UINT16_MAX)
		return "is no number from 0 to 65535";
	settings->port = (uint16_t)port;
	settings->port_set = true;
	return NULL;
}

static const char *settings_read_protocol(
	json_t *value, struct exposure_settings *settings, char mistake[MISTAKE_MAX])
{
	const char *name = json_string_value(value), *const *words = tunnel_protocol_names;
	size_t n = 0;

	for (size_t i = 0; words[i] && n < MISTAKE_MAX; i++) {
		if (name && strcmp(name, words[i]) == 0) {
			settings->protocol = (enum tunnel_protocol)i;
			settings->protocol_set = true;
			return NULL;
		}
		n += (size_t)snprintf(
			mistake + n, MISTAKE_MAX - n, "%s%s", i ? ", " : "is none of ", words[i]);
	}
	return mistake;
}

static const char *settings_read_secret(json_t *value, struct secret *secret)
{
	if (!json_is_string(value))
		return "is no text";
	if (secret_set(secret, json_string_value(value), json_string_length(value)) < 0)
		return "is too long";
	return NULL;
}

/* What is null is not said. False: 400 has been sent. The texts are those of `body`. */
static bool settings_read(struct http_request *request, json_t *body,
	struct exposure_settings *settings, struct secret *secret)
{
	const char *key, *mistake = NULL;
	char text[MISTAKE_MAX];
	json_t *value;

	json_object_foreach(body, key, value)
	{
		if (json_is_null(value))
			continue;
		if (strcmp(key, "server") == 0)
			mistake = settings_read_server(value, settings, text);
		else if (strcmp(key, "port") == 0)
			mistake = settings_read_port(value, settings);
		else if (strcmp(key, "protocol") == 0)
			mistake = settings_read_protocol(value, settings, text);
		else if (strcmp(key, "secret") == 0)
			mistake = settings_read_secret(value, secret);
		else
			mistake = "is unknown: there are server, secret, port and protocol";
		if (mistake) {
			http_reply_error(request, 400, "'%s' %s", key, mistake);
			return false;
		}
	}
	if (secret->set)
		settings->secret = secret;
	return true;
}

static void start_with(
	struct api *api, struct http_request *request, const struct exposure_settings *settings)
{
	struct exposure_status status;
	int r = exposure_start(api->config.exposure, settings);

	switch (r) {
	case 0:
		break;
	case EXPOSURE_OTHER_SETTINGS:
		http_reply_error(
			request, 409, "the tunnel is active with other settings: stop it first");
		return;
	case EXPOSURE_NO_APPLICATION:
		http_reply_error(request, 409, "there is no application to show: start it first");
		return;
	default:
		http_reply_error(request, 500, "can't start the tunnel: %s", strerror(-r));
		return;
	}
	exposure_status(api->config.exposure, &status);
	if (status.tunnel.state == TUNNEL_CONNECTING || status.tunnel.state == TUNNEL_RECONNECTING)
		start_wait(api, request);
	else
		start_reply(api, request);
}

void api_tunnel_start(void *owner, struct http_request *request)
{
	_cleanup_(secret_clear) struct secret secret = { 0 };
	struct exposure_settings settings = { 0 };
	json_t *body = http_request_json(request);

	if (!body)
		return;
	if (settings_read(request, body, &settings, &secret))
		start_with(owner, request, &settings);
	json_decref(body);
}

void api_tunnel_stop(void *owner, struct http_request *request)
{
	struct api *api = owner;

	exposure_stop(api->config.exposure);
	http_reply_json(
		request, 200, json_pack("{s:b, s:s}", "success", 1, "message", "Tunnel stopped"));
}
