/* SPDX-License-Identifier: MIT */
/* GET and POST /api/forwards, DELETE /api/forwards/{port}. */
#include <errno.h>
#include <string.h>

#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/forward.h"

static json_t *forward_json(const struct forward_status *forward)
{
	char address[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:i, s:o, s:{s:I, s:I}, s:{s:I, s:I}}", "address",
		addr_format_ip(&forward->addr, address), "host_port",
		(int)addr_port(&forward->addr), "app_port",
		forward->app_port ? json_integer(forward->app_port) : json_null(), "connections",
		"open", (json_int_t)forward->conns_open, "total", (json_int_t)forward->conns_total,
		"bytes", "in", (json_int_t)forward->bytes_in, "out",
		(json_int_t)forward->bytes_out);
}

static void forwards_append(void *owner, const struct forward_status *forward)
{
	(void)json_array_append_new(owner, forward_json(forward));
}

json_t *api_forwards_json(struct api *api)
{
	json_t *list = json_array();

	forwards_each(api->config.forwards, forwards_append, list);
	return json_pack("{s:b, s:o}", "success", 1, "forwards", list);
}

void api_get_forwards(void *owner, struct http_request *request)
{
	http_reply_json(request, 200, api_forwards_json(owner));
}

/* Nobody else adds or removes one while the API is there. */
static void forwards_changed(struct api *api)
{
	if (api->hub.count)
		api_events_publish(api, API_EVENT_FORWARDS, api_forwards_json(api));
}

/* --- adding one --- */

struct forward_body {
	const char *address;
	uint16_t host_port, app_port;
	bool has_port;
};

/* Each returns NULL, or what is wrong. */
static const char *body_read_address(json_t *value, struct forward_body *body)
{
	body->address = json_string_value(value);
	return body->address ? NULL : "is no text";
}

static const char *body_read_port(json_t *value, struct forward_body *body)
{
	json_int_t port = json_integer_value(value);

	if (!json_is_integer(value) || port < 0 || port > UINT16_MAX)
		return "is no number from 0 to 65535";
	body->host_port = (uint16_t)port;
	body->has_port = true;
	return NULL;
}

static const char *body_read_app_port(json_t *value, struct forward_body *body)
{
	json_int_t port = json_integer_value(value);

	if (!json_is_integer(value) || port < 1 || port > UINT16_MAX)
		return "is no number from 1 to 65535";
	body->app_port = (uint16_t)port;
	return NULL;
}

static const struct {
	const char *key;
	const char *(*read)(json_t *value, struct forward_body *body);
} forward_members[] = {
	{ "address", body_read_address },
	{ "host_port", body_read_port },
	{ "app_port", body_read_app_port },
};

static const char *body_read_member(const char *key, json_t *value, struct forward_body *body)
{
	for (size_t i = 0; i < ARRAY_LEN(forward_members); i++)
		if (strcmp(key, forward_members[i].key) == 0)
			return json_is_null(value) ? NULL : forward_members[i].read(value, body);
	return "is unknown: there are address, host_port and app_port";
}

/* What is null is not said. False: 400 has been sent. */
static bool body_read(struct http_request *request, json_t *json, struct forward_spec *ret_spec)
{
	struct forward_body body = { .address = "127.0.0.1" };
	const char *key, *mistake;
	char why[HOST_WHY_MAX];
	json_t *value;

	json_object_foreach(json, key, value)
	{
		mistake = body_read_member(key, value, &body);
		if (mistake) {
			http_reply_error(request, 400, "'%s' %s", key, mistake);
			return false;
		}
	}
	if (!body.has_port) {
		http_reply_error(request, 400, "'host_port' is missing: 0 is any that is free");
		return false;
	}
	if (forward_spec_fill(body.address, body.host_port, body.app_port, ret_spec, why) == 0)
		return true;
	http_reply_error(request, 400, "'address' is no IP address: %s", why);
	return false;
}

static void forward_refuse(struct http_request *request, const struct forward_spec *spec, int error)
{
	char text[ADDR_TEXT_MAX];
	unsigned port = addr_port(&spec->addr);

	addr_format(&spec->addr, text);
	switch (error) {
	case FORWARD_EXISTS:
		http_reply_error(request, 409,
			"port %u is forwarded already: remove that first, or choose another one",
			port);
		return;
	case FORWARD_TOO_MANY:
		http_reply_error(request, 409,
			"there are %d forwards, which is the most there can be: remove one first",
			FORWARDS_MAX);
		return;
	case -EADDRINUSE:
		http_reply_error(request, 409,
			"%s is taken by another program: choose another port; 0 is any", text);
		return;
	case -EACCES:
		http_reply_error(request, 400,
			"port %u is for privileged programs only: choose one from 1024 on", port);
		return;
	case -EADDRNOTAVAIL:
		http_reply_error(request, 400, "%s is at no address of this machine", text);
		return;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		http_reply_error(request, 500, "can't listen on %s: %s", text, strerror(-error));
		return;
	default:
		http_reply_error(request, 400, "can't listen on %s: %s", text, strerror(-error));
		return;
	}
}

static void forward_add(
	struct api *api, struct http_request *request, const struct forward_spec *spec)
{
	struct forward_status status;
	int r;

	/* At [::1] there would be room beside the page, and a browser goes there first: with the
	 * page's name, the application could keep what it finds in it. */
	if (addr_port(&spec->addr) == api_port(api)) {
		http_reply_error(request, 409, "port %u is the page's: choose another one",
			addr_port(&spec->addr));
		return;
	}
	r = forwards_add(api->config.forwards, spec, &status);
	if (r != 0) {
		forward_refuse(request, spec, r);
		return;
	}
	http_reply_json(request, 200,
		json_pack("{s:b, s:o}", "success", 1, "forward", forward_json(&status)));
	forwards_changed(api);
}

void api_add_forward(void *owner, struct http_request *request)
{
	struct forward_spec spec;
	json_t *body = http_request_json(request);

	if (!body)
		return;
	if (body_read(request, body, &spec))
		forward_add(owner, request, &spec);
	json_decref(body);
}

void api_remove_forward(void *owner, struct http_request *request)
{
	struct api *api = owner;
	uint64_t port = http_request_number(request, "port");

	if (!forwards_remove(api->config.forwards, (uint16_t)port)) {
		http_reply_error(request, 404, "port %u is not forwarded", (unsigned)port);
		return;
	}
	http_reply_json(
		request, 200, json_pack("{s:b, s:s}", "success", 1, "message", "Forward removed"));
	forwards_changed(api);
}
