/* SPDX-License-Identifier: MIT */
/*
 * The local application, asked by HTTP: by its own name first, then by the public one, which the
 * servers of many frameworks refuse until they are told of it. One that doesn't listen there is
 * looked for at the other addresses of this machine.
 */
#include "cli/doctor_app.h"

#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "cli/doctor.h"
#include "cli/listeners.h"
#include "net/ask.h"
#include "net/host.h"

#define REQUEST_MAX (2 * HOST_TEXT_MAX + 128)
#define ELSEWHERE_MAX 512

static void app_end(struct doctor_app *app, bool good, const char *text)
{
	app->config.done(app->config.owner, good, text);
}

/* Where else on this machine it listens. */
static void app_find_listeners(const char *table, uint16_t port, char *text, size_t size)
{
	FILE *file = fopen(table, "re");

	listeners_add(file, port, text, size);
	if (file)
		(void)fclose(file);
}

static void app_unconnected(struct doctor_app *app, int error)
{
	const struct doctor_app_config *config = &app->config;
	char text[DOCTOR_TEXT_MAX], elsewhere[ELSEWHERE_MAX] = "", name[HOST_TEXT_MAX];

	host_format(config->host, config->port, name);
	app_find_listeners("/proc/net/tcp", config->port, elsewhere, sizeof(elsewhere));
	app_find_listeners("/proc/net/tcp6", config->port, elsewhere, sizeof(elsewhere));
	if (elsewhere[0])
		(void)snprintf(text, sizeof(text),
			"%s: %s, but port %u is listened on at %s; name that address with "
			"--local-host, or let the application listen on localhost",
			name, uv_strerror(error), config->port, elsewhere);
	else
		(void)snprintf(text, sizeof(text),
			"%s: %s; start the application, or name where it runs with --local-host "
			"(in a container, localhost is the container alone)",
			name, uv_strerror(error));
	app_end(app, false, text);
}

/* --- what it says --- */

static void app_on_other_protocol(struct doctor_app *app, const struct ask_result *asked)
{
	char text[DOCTOR_TEXT_MAX], said[128];
	const char *what = asked->end == ASK_CLOSED ? "closes them when it is asked by HTTP"
			   : asked->end == ASK_SILENT
				   ? "says nothing in 5 s when it is asked by HTTP"
				   : NULL;

	if (what)
		(void)snprintf(text, sizeof(text), "%s takes connections, and %s", app->peer, what);
	else if (asked->answer[0] == 0x15 || asked->answer[0] == 0x16)
		(void)snprintf(text, sizeof(text),
			"%s takes connections, and speaks TLS: visitors have to write https://",
			app->peer);
	else
		(void)snprintf(text, sizeof(text),
			"%s takes connections, and speaks no HTTP/1: '%s'", app->peer,
			log_escape(
				said, sizeof(said), asked->answer, strcspn(asked->answer, "\r\n")));
	app_end(app, true, text);
}

static void app_on_public_asked(void *owner, const struct ask_result *asked)
{
	struct doctor_app *app = owner;
	unsigned status = ask_http_status(asked);
	char text[DOCTOR_TEXT_MAX];
	bool refused = app->status < 400 && (status >= 400 || !status);

	app->ask = NULL;
	if (refused)
		(void)snprintf(text, sizeof(text),
			"%s answers with status %u, but with %u when its visitors' name for it, "
			"'%s', is asked for; let that name in: the setting of its framework is "
			"called allowed hosts or so",
			app->peer, app->status, status, app->config.public_host);
	else
		(void)snprintf(text, sizeof(text), "%s answers with status %u%s", app->peer,
			app->status, app->status >= 500 ? ": its own log may say why" : "");
	app_end(app, !refused, text);
}

static int app_ask(struct doctor_app *app, const char *name,
	void (*done)(void *owner, const struct ask_result *asked))
{
	char request[REQUEST_MAX];

	(void)snprintf(request, sizeof(request),
		"GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: bore-doctor\r\nConnection: "
		"close\r\n\r\n",
		name);
	return ask_start(&(struct ask_config){ .loop = app->config.loop,
				 .host = app->config.host,
				 .port = app->config.port,
				 .say = request,
				 .timeout_ms = DOCTOR_TIMEOUT_MS,
				 .done = done,
				 .owner = app },
		&app->ask);
}

static void app_on_asked(void *owner, const struct ask_result *asked)
{
	struct doctor_app *app = owner;
	char text[DOCTOR_TEXT_MAX];

	app->ask = NULL;
	if (asked->connected)
		(void)addr_format(&asked->peer, app->peer);
	app->status = ask_http_status(asked);
	if (asked->end == ASK_UNRESOLVED) {
		(void)snprintf(text, sizeof(text), "%s: %s; check --local-host", app->config.host,
			uv_strerror(asked->error));
		app_end(app, false, text);
	} else if (asked->end == ASK_UNCONNECTED) {
		app_unconnected(app, asked->error);
	} else if (!app->status) {
		app_on_other_protocol(app, asked);
	} else if (!app->config.public_host ||
		   app_ask(app, app->config.public_host, app_on_public_asked) < 0) {
		(void)snprintf(
			text, sizeof(text), "%s answers with status %u", app->peer, app->status);
		app_end(app, true, text);
	}
}

int doctor_app_start(struct doctor_app *app, const struct doctor_app_config *config)
{
	char name[HOST_TEXT_MAX];

	*app = (struct doctor_app){ .config = *config };
	return app_ask(app, host_format(config->host, config->port, name), app_on_asked);
}

void doctor_app_cancel(struct doctor_app *app)
{
	if (app->ask)
		ask_cancel(take_ptr(app->ask));
}
