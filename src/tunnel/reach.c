/* SPDX-License-Identifier: MIT */
/* A question (net/ask.h) in HTTP/1.1, and what its end means. */
#include "tunnel/reach.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/uuid.h"
#include "net/ask.h"
#include "net/host.h"

#define MARK_MIN 32 /* characters of the mark, as many as are random */
#define MARK_MAX 2079
#define REQUEST_MAX (MARK_MAX + HOST_TEXT_MAX + 256)

const char *const reach_outcome_names[] = {
	[REACH_WORKS] = "works",
	[REACH_REFUSED] = "refused",
	[REACH_SILENT] = "silent",
	[REACH_UNANSWERED] = "unanswered",
	[REACH_OTHER] = "other",
	[REACH_UNRESOLVED] = "unresolved",
	[REACH_UNREACHABLE] = "unreachable",
	NULL,
};
static_assert(ARRAY_LEN(reach_outcome_names) == REACH_OUTCOMES + 1, "a word for each");

static void reach_explain(
	const struct reach *r, const struct ask_result *asked, struct reach_result *result)
{
	char name[HOST_TEXT_MAX], said[64] = "but not by HTTP/1";
	const char *text = host_format(r->host, r->port, name);
	unsigned port = r->port;

	if (result->status)
		(void)snprintf(said, sizeof(said), "with status %u", result->status);
#define SAY(...) ((void)snprintf(result->text, sizeof(result->text), __VA_ARGS__))
	switch (result->outcome) {
	case REACH_WORKS:
		SAY("Asked from this machine through the relay, the application has "
		    "answered %s in %llu ms.",
			said, (unsigned long long)max_u64(result->duration_ms, 1));
		break;
	case REACH_REFUSED:
		SAY("%s refuses connections, though the relay has given out that port. Does the "
		    "relay run in a container that doesn't publish port %u, or does it listen for "
		    "visitors at another address (bore server --bind-tunnels)?",
			text, port);
		break;
	case REACH_SILENT:
		SAY("No connection to %s in %d s. A firewall at the relay probably drops it: TCP "
		    "port %u has to be open there, as the control port is.",
			text, REACH_TIMEOUT_MS / 1000, port);
		break;
	case REACH_UNANSWERED:
		SAY("%s takes the connection, but %s. %s", text,
			asked->end == ASK_CLOSED ? "closes it without an answer"
						 : "nothing was answered in 5 s",
			result->arrived ? "The request has come to the application: its log may "
					  "say more."
					: "The request has not come here: something before the "
					  "relay holds it, or the relay is overloaded.");
		break;
	case REACH_OTHER:
		SAY("At %s something else has answered %s: the request has not come here. Is the "
		    "relay behind a proxy, or that port another program's?",
			text, said);
		break;
	case REACH_UNRESOLVED:
		SAY("'%s' has no address here (%s). The relay was found before: is the network "
		    "gone?",
			r->host, uv_strerror(asked->error));
		break;
	default:
		SAY("%s can't be connected from here: %s.", text, uv_strerror(asked->error));
		break;
	}
#undef SAY
}

static int reach_make_request(struct reach *r, char request[REQUEST_MAX])
{
	static const char digits[] = "0123456789abcdef";
	char name[HOST_TEXT_MAX], mark[MARK_MAX + 1];
	struct uuid uuid;
	size_t len;
	int error = uuid_random(&uuid);

	if (error < 0)
		return error;
	len = MARK_MIN + (((size_t)uuid.bytes[0] << 8) | uuid.bytes[1]) % (MARK_MAX - MARK_MIN + 1);
	for (size_t i = 0; i < len; i++)
		mark[i] = digits[(uuid.bytes[i / 2 % sizeof(uuid.bytes)] >> (i % 2 * 4)) & 15];
	mark[len] = '\0';
	r->bytes = (uint64_t)snprintf(request, REQUEST_MAX,
		"GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: wasmrun-check\r\nX-Wasmrun-Check: "
		"%s\r\nConnection: close\r\n\r\n",
		host_format(r->host, r->port, name), mark);
	return 0;
}

static enum reach_outcome reach_outcome(const struct ask_result *asked, bool arrived)
{
	switch (asked->end) {
	case ASK_ANSWERED:
		return arrived ? REACH_WORKS : REACH_OTHER;
	case ASK_UNRESOLVED:
		return REACH_UNRESOLVED;
	case ASK_UNCONNECTED:
		return asked->error == -ECONNREFUSED ? REACH_REFUSED
		       : asked->error == -ETIMEDOUT  ? REACH_SILENT
						     : REACH_UNREACHABLE;
	default:
		return REACH_UNANSWERED;
	}
}

static void reach_on_asked(void *owner, const struct ask_result *asked)
{
	struct reach *r = owner;
	const struct reach_mark mark = {
		.from = asked->from, .bytes = r->bytes, .since_wall_ms = r->since_wall_ms
	};
	struct reach_result result = {
		.arrived = asked->connected && r->config.arrived(r->config.owner, &mark),
		.status = ask_http_status(asked),
		.duration_ms = asked->duration_ms,
		.time_ms = clock_wall_ms(),
	};

	r->ask = NULL;
	result.outcome = reach_outcome(asked, result.arrived);
	reach_explain(r, asked, &result);
	r->config.done(r->config.owner, &result);
}

void reach_init(struct reach *r, const struct reach_config *config)
{
	*r = (struct reach){ .config = *config };
}

int reach_start(struct reach *r, const char *host, uint16_t port)
{
	char request[REQUEST_MAX];
	int error;

	assert(!r->ask);
	(void)snprintf(r->host, sizeof(r->host), "%s", host);
	r->port = port;
	r->since_wall_ms = clock_wall_ms();
	error = reach_make_request(r, request);
	if (error < 0)
		return error;
	return ask_start(&(struct ask_config){ .loop = r->config.loop,
				 .host = host,
				 .port = port,
				 .say = request,
				 .timeout_ms = REACH_TIMEOUT_MS,
				 .done = reach_on_asked,
				 .owner = r },
		&r->ask);
}

bool reach_runs(const struct reach *r)
{
	return r->ask;
}

void reach_cancel(struct reach *r)
{
	if (r->ask)
		ask_cancel(take_ptr(r->ask));
}
