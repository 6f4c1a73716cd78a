/* SPDX-License-Identifier: MIT */
/* One table from the handshake's failures to the words of `bore local`. */
#include "tunnel/failure.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/lang.h"
#include "base/log.h"

/* Room for an Error text of the relay, every byte escaped. */
#define QUOTE_MAX (4 * MSG_MAX + 1)

static const struct handshake_words {
	enum tunnel_failure kind;
	enum machine_verdict verdict;
	const char *cause,
		*remedy; /* the cause of TUNNEL_PORT ends in the port that was asked for; "--%" in
			    a remedy begins the name of an option, see struct tunnel_config */
} words[] = {
	[HANDSHAKE_NOT_BORE] = { TUNNEL_NOT_BORE, MACHINE_PASSING,
		"is no bore server, or does not answer as one", "check the relay's name and port" },
	[HANDSHAKE_WRONG_SECRET] = { TUNNEL_SECRET, MACHINE_FINAL, "does not accept the secret",
		"give the one that the server was started with" },
	[HANDSHAKE_SECRET_REQUIRED] = { TUNNEL_SECRET, MACHINE_FINAL, "asks for a secret",
		"give it with --%secret-file" },
	[HANDSHAKE_SECRET_UNASKED] = { TUNNEL_SECRET, MACHINE_PASSING,
		"did not ask for the secret in time",
		"if it has none, leave the secret away; if it has, is it overloaded?" },
	[HANDSHAKE_SECRET_UNFIT] = { TUNNEL_SECRET, MACHINE_FINAL,
		"is to get the secret in a line, where it does not fit",
		"use --%protocol bore, or a secret of at most 251 bytes without a line break" },
	/* Ours notices a dead client by RELAY_USER_TIMEOUT_MS; stock by its kernel's tcp_retries2.
	 */
	[HANDSHAKE_PORT_TAKEN] = { TUNNEL_PORT, MACHINE_PORT_TAKEN, "already uses the public port",
		"ask for another with --%port, or for any by leaving it away; if a dead connection "
		"of yours holds it, --%retry goes on until it is free: some 15 s, 16 min at a "
		"stock server" },
	[HANDSHAKE_PORT_RANGE] = { TUNNEL_PORT, MACHINE_FINAL, "does not allow the public port",
		"ask for another with --%port, or for any by leaving it away" },
	[HANDSHAKE_PORT_DENIED] = { TUNNEL_PORT, MACHINE_PASSING, "could not open the public port",
		"ask for another with --%port, 1024 or higher, or for any by leaving it away" },
	[HANDSHAKE_NO_PORT] = { TUNNEL_PORT, MACHINE_PASSING, "has no free public port",
		"try again later, or widen --min-port and --max-port there" },
	[HANDSHAKE_REFUSED] = { TUNNEL_REFUSED, MACHINE_PASSING, "refuses the tunnel",
		"ask who runs it" },
	[HANDSHAKE_UNEXPECTED] = { TUNNEL_NOT_BORE, MACHINE_PASSING,
		"sent a message that has no place here", "check its version" },
	[HANDSHAKE_CLOSED] = { TUNNEL_NOT_BORE, MACHINE_PASSING,
		"closed the connection before its answer",
		"is a bore server running there, and is it not overloaded?" },
	[HANDSHAKE_SILENT] = { TUNNEL_NOT_BORE, MACHINE_PASSING, "did not answer in time",
		"is the server overloaded or stopped?" },
};
static_assert(ARRAY_LEN(words) == HANDSHAKE_FAILURES, "every failure has its words");

static const char *failure_connect_remedy(int error)
{
	switch (error) {
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
		return "is that machine up, and does its firewall let this TCP port pass";
	case -ENETUNREACH:
	case -EADDRNOTAVAIL:
		return "is this machine connected to a network";
	default:
		return "is `bore server` running there, and is this TCP port open";
	}
}

static bool failure_is_own_lack(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

void failure_of_system(struct failure *f, int error)
{
	bool files = error == -EMFILE || error == -ENFILE;

	f->kind = TUNNEL_UNREACHABLE;
	f->verdict = MACHINE_PASSING;
	(void)snprintf(f->text, sizeof(f->text), "could not open a connection: %s; %s",
		uv_strerror(error),
		files ? "raise the limit of open files (ulimit -n)" : "free some memory");
}

void failure_of_dial(
	struct failure *f, const char *relay, const char *host, int error, bool resolving)
{
	if (failure_is_own_lack(error)) {
		failure_of_system(f, error);
		return;
	}
	f->kind = resolving ? TUNNEL_UNRESOLVED : TUNNEL_UNREACHABLE;
	f->verdict = MACHINE_PASSING;
	if (resolving)
		(void)snprintf(f->text, sizeof(f->text),
			"could not resolve %s: %s; check its spelling and this machine's DNS", host,
			uv_strerror(error));
	else
		(void)snprintf(f->text, sizeof(f->text), "could not connect to %s: %s; %s?", relay,
			uv_strerror(error), failure_connect_remedy(error));
}

/* Appends the remedy; `prefix` takes the place of the '%' in "--%". */
static void failure_add_remedy(struct failure *f, const char *remedy, const char *prefix)
{
	for (const char *option; remedy; remedy = option ? option + strlen("--%") : NULL) {
		size_t len = strlen(f->text);

		option = strstr(remedy, "--%");
		(void)snprintf(f->text + len, sizeof(f->text) - len, "%.*s%s%s",
			option ? (int)(option - remedy) : (int)strlen(remedy), remedy,
			option ? "--" : "", option ? prefix : "");
	}
}

void failure_of_front(
	struct failure *f, const char *relay, const char *option_prefix, const char *why)
{
	f->kind = TUNNEL_FRONT;
	f->verdict = MACHINE_PASSING;
	(void)snprintf(f->text, sizeof(f->text), "no way through %s: ", relay);
	failure_add_remedy(f, why, option_prefix);
}

void failure_of_handshake(struct failure *f, const char *relay, const char *option_prefix,
	const struct client_handshake *hs, enum handshake_failure reason)
{
	/* A peer that has said nothing may still be a bore server. */
	bool mute = reason == HANDSHAKE_NOT_BORE && !hs->heard;
	const struct handshake_words *w = &words[mute ? HANDSHAKE_SILENT : reason];
	char port[sizeof(" 65535")] = "", quote[QUOTE_MAX], said[QUOTE_MAX + sizeof(" ('')")] = "";

	assert(w->cause);
	f->kind = w->kind;
	f->verdict = w->verdict;
	if (w->kind == TUNNEL_PORT && hs->port)
		(void)snprintf(port, sizeof(port), " %u", hs->port);
	if (hs->error_len)
		(void)snprintf(said, sizeof(said), " ('%s')",
			log_escape(quote, sizeof(quote), hs->error, hs->error_len));
	(void)snprintf(f->text, sizeof(f->text), "%s %s%s%s; ", relay, w->cause, port, said);
	failure_add_remedy(f, w->remedy, option_prefix);
}
