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
#include "base/parse.h"
#include "cli/doctor.h"
#include "net/ask.h"
#include "net/host.h"

#define REQUEST_MAX (2 * HOST_TEXT_MAX + 128)
#define LISTENING "0A" /* TCP_LISTEN in proc_pid_net(5) */
#define ROW_MAX 256
#define ELSEWHERE_MAX 512

static void app_end(struct doctor_app *app, bool good, const char *text)
{
	app->config.done(app->config.owner, good, text);
}

/* --- where else it listens --- */

/* "0100007F:1F90": each 32 bits of the address as a number of this machine's, the port as such. */
static bool app_read_addr(const char *text, struct addr *ret_addr)
{
	size_t digits = strcspn(text, ":"), words = digits / 8;
	uint32_t address[4] = { 0 };
	uint8_t bytes[4], port[2];
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in4 = { .sin_family = AF_INET };

	if ((digits != 8 && digits != 32) || parse_hex(text + digits + 1, 4, port, 2) < 0)
		return false;
	for (size_t i = 0; i < words; i++) {
		if (parse_hex(text + 8 * i, 8, bytes, sizeof(bytes)) < 0)
			return false;
		address[i] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
			     (uint32_t)bytes[2] << 8 | bytes[3];
	}
	memcpy(&in4.sin_addr, address, sizeof(in4.sin_addr));
	memcpy(&in6.sin6_addr, address, sizeof(in6.sin6_addr));
	memcpy(&in4.sin_port, port, sizeof(port));
	memcpy(&in6.sin6_port, port, sizeof(port));
	return addr_from_sockaddr(
		       words == 1 ? (const struct sockaddr *)&in4 : (const struct sockaddr *)&in6,
		       ret_addr) == 0;
}

/* Adds the addresses of a table of the kernel's at which that port is listened on. */
static void app_find_listeners(const char *table, uint16_t port, char *text, size_t size)
{
	char row[ROW_MAX], local[64], state[8], ip[ADDR_TEXT_MAX];
	FILE *file = fopen(table, "re");
	struct addr addr;

	while (file && fgets(row, sizeof(row), file)) {
		size_t len = strlen(text);

		if (sscanf(row, "%*s %63s %*s %7s", local, state) != 2 ||
			strcmp(state, LISTENING) != 0 || !app_read_addr(local, &addr) ||
			addr_port(&addr) != port)
			continue;
		(void)snprintf(
			text + len, size - len, "%s%s", len ? ", " : "", addr_format_ip(&addr, ip));
	}
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
