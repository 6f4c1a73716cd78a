/* SPDX-License-Identifier: MIT */
/*
 * The checks, one after the other:
 *
 *   a question to the relay's name       DOCTOR_NAME, DOCTOR_CONTROL_PORT; a name with several
 *                                        addresses: one to each of them as well
 *   a tunnel to our responder            what is between, up to DOCTOR_SECRET; where it fails for
 *                                        what answers, a question in HTTP tells who that is
 *   a question to its public port        DOCTOR_PUBLIC_PORT
 *   questions to the application         DOCTOR_APPLICATION
 *
 * A check that is wrong ends those of the relay: the rest of them is skipped, and the application's
 * follows. A tunnel is closed before anything is reported of it. What is under way ends with a
 * signal, too, and nothing is reported from then on.
 */
#include "cli/doctor.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/printable.h"
#include "cli/common_options.h"
#include "cli/doctor_app.h"
#include "cli/doctor_stranger.h"
#include "cli/runtime.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "net/ask.h"
#include "net/pump_pool.h"
#include "tunnel/failure.h"
#include "tunnel/reach.h"

#define LABEL_WIDTH 14

static const struct {
	const char *name, *label;
} check_names[] = {
	[DOCTOR_NAME] = { "name", "name:" },
	[DOCTOR_CONTROL_PORT] = { "control_port", "control port:" },
	[DOCTOR_CLOCK] = { "clock", "clock:" },
	[DOCTOR_FRONT] = { "front", "HTTP front:" },
	[DOCTOR_PROTOCOL] = { "protocol", "protocol:" },
	[DOCTOR_SECRET] = { "secret", "secret:" },
	[DOCTOR_PUBLIC_PORT] = { "public_port", "public port:" },
	[DOCTOR_APPLICATION] = { "application", "application:" },
};
static_assert(ARRAY_LEN(check_names) == DOCTOR_CHECKS, "a name for each");

enum doctor_result {
	DOCTOR_GOOD,
	DOCTOR_WRONG,
	DOCTOR_SKIPPED,
};

static const char *const result_names[] = {
	[DOCTOR_GOOD] = "good",
	[DOCTOR_WRONG] = "wrong",
	[DOCTOR_SKIPPED] = "skipped",
};

struct doctor;

/* One of the addresses of the relay's name. */
struct doctor_address {
	struct doctor *doctor;
	struct ask *ask; /* under way, or NULL */
	struct addr addr;
	int error; /* 0: it takes connections */
};

struct doctor {
	struct runtime runtime;
	struct doctor_values *values;
	json_t *checks; /* filled, in place of printing, where that is asked for */
	struct host relay;
	char relay_text[HOST_RELAY_MAX];
	enum doctor_check next; /* to be reported */
	struct ask *ask;        /* under way, or NULL */
	struct doctor_address addresses[DIALER_ADDRS_MAX];
	size_t address_count, waiting;
	struct metrics_server responder;
	bool responds;
	struct tunnel *tunnel;
	bool tunnel_closing, closing;
	struct reach reach;
	unsigned visits; /* that have come through the tunnel */
	/* What is known of the relay: its first check that is wrong, or DOCTOR_APPLICATION. */
	enum doctor_check wrong;
	int wrong_code;
	bool connected, resumes, secure_wire;
	char text[DOCTOR_TEXT_MAX]; /* of `wrong`, or of the public port */
	char public_host[HOST_TEXT_MAX];
	struct doctor_app app;
	int code; /* enum exit_code */
};

/* --- the report --- */

/* "cause; remedy", or sentences of which the first is the cause. Cuts it; NULL: no remedy. */
static const char *doctor_split(char *text)
{
	char *at = strstr(text, "; ");

	if (!at)
		at = strstr(text, ". ");
	if (!at)
		return NULL;
	*at = '\0';
	return at + 2;
}

static void doctor_print(const char *label, const char *text)
{
	printf("%-*s", LABEL_WIDTH, label);
	(void)printable_write(stdout, text, strlen(text));
	putchar('\n');
	(void)fflush(stdout);
}

__attribute__((format(printf, 4, 5))) static void doctor_report(
	struct doctor *d, enum doctor_check check, enum doctor_result result, const char *fmt, ...)
{
	char text[DOCTOR_TEXT_MAX + sizeof("WRONG: ")];
	const char *remedy = NULL;
	size_t skip = strlen("WRONG: ");
	va_list ap;

	assert(check == d->next);
	d->next++;
	memcpy(text, "WRONG: ", skip);
	va_start(ap, fmt);
	(void)vsnprintf(text + skip, sizeof(text) - skip, fmt, ap);
	va_end(ap);
	if (result == DOCTOR_WRONG)
		remedy = doctor_split(text + skip);
	if (d->checks) {
		(void)json_array_append_new(
			d->checks, json_pack("{s:s, s:s, s:s, s:s?}", "check",
					   check_names[check].name, "result", result_names[result],
					   "found", text + skip, "remedy", remedy));
		return;
	}
	doctor_print(check_names[check].label, result == DOCTOR_WRONG ? text : text + skip);
	if (remedy)
		doctor_print("", remedy);
}

/* --- the end --- */

static void doctor_finish(struct doctor *d)
{
	if (d->responds)
		metrics_server_close(&d->responder);
	d->responds = false;
	runtime_close(&d->runtime);
}

static void doctor_application(struct doctor *d);
static void doctor_after_tunnel(struct doctor *d);

static void doctor_on_tunnel_closed(void *owner)
{
	struct doctor *d = owner;

	d->tunnel = NULL;
	if (d->closing)
		doctor_finish(d);
	else
		doctor_after_tunnel(d);
}

static void doctor_close_tunnel(struct doctor *d)
{
	if (d->tunnel_closing)
		return;
	d->tunnel_closing = true;
	reach_cancel(&d->reach);
	tunnel_close(d->tunnel, doctor_on_tunnel_closed, d);
}

static void doctor_close(void *owner)
{
	struct doctor *d = owner;

	if (d->closing)
		return;
	d->closing = true;
	if (d->ask)
		ask_cancel(take_ptr(d->ask));
	for (size_t i = 0; i < d->address_count; i++)
		if (d->addresses[i].ask)
			ask_cancel(take_ptr(d->addresses[i].ask));
	doctor_app_cancel(&d->app);
	if (d->tunnel)
		doctor_close_tunnel(d);
	else
		doctor_finish(d);
}

static void doctor_on_end(void *owner, enum runtime_signal signal)
{
	doctor_close(owner);
}

static void doctor_on_hup(void *owner)
{
}

/* --- the application --- */

static void doctor_on_app(void *owner, bool good, const char *text)
{
	struct doctor *d = owner;

	doctor_report(d, DOCTOR_APPLICATION, good ? DOCTOR_GOOD : DOCTOR_WRONG, "%s", text);
	if (!good && d->code == EXIT_CODE_OK)
		d->code = EXIT_CODE_FAILED;
	doctor_close(d);
}

static void doctor_application(struct doctor *d)
{
	const struct doctor_values *v = d->values;
	const struct doctor_app_config config = {
		.loop = &d->runtime.loop,
		.host = v->local_host,
		.port = (uint16_t)v->local_port,
		.public_host = v->to ? d->public_host : NULL,
		.done = doctor_on_app,
		.owner = d,
	};
	int r;

	d->next = DOCTOR_APPLICATION;
	if (!v->local_port) {
		doctor_report(d, DOCTOR_APPLICATION, DOCTOR_SKIPPED,
			"not looked at: give its port as the argument");
		doctor_close(d);
		return;
	}
	r = doctor_app_start(&d->app, &config);
	if (r < 0)
		doctor_on_app(d, false, uv_strerror(r));
}

/* --- the relay --- */

static void doctor_report_clock(struct doctor *d)
{
	char now[32];
	time_t seconds = time(NULL);
	struct tm tm;

	if (d->relay.scheme != HOST_HTTPS) {
		doctor_report(d, DOCTOR_CLOCK, DOCTOR_SKIPPED,
			"not needed: nothing that is said here depends on it");
		return;
	}
	(void)strftime(now, sizeof(now), "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &tm));
	doctor_report(d, DOCTOR_CLOCK, DOCTOR_GOOD,
		"this machine's says %s UTC, by which the certificate is judged", now);
}

static void doctor_report_protocol(struct doctor *d)
{
	const char *text = "bore's";

	if (d->connected && !d->secure_wire)
		text = "the older line dialect of bore's, in which a secret is sent in clear";
	else if (d->resumes)
		text = "bore's, with our extensions: after a loss the public port is taken over "
		       "at once";
	else if (d->connected)
		text = "bore's, as stock bore speaks it: after a loss the public port may stay "
		       "taken for minutes";
	doctor_report(d, DOCTOR_PROTOCOL, DOCTOR_GOOD, "%s", text);
}

static void doctor_report_good(struct doctor *d)
{
	switch (d->next) {
	case DOCTOR_CLOCK:
		doctor_report_clock(d);
		break;
	case DOCTOR_FRONT:
		if (d->relay.scheme == HOST_RAW)
			doctor_report(d, DOCTOR_FRONT, DOCTOR_SKIPPED, "none: --to is no URL");
		else
			doctor_report(d, DOCTOR_FRONT, DOCTOR_GOOD, "%s lets the tunnel through",
				d->relay_text);
		break;
	case DOCTOR_PROTOCOL:
		doctor_report_protocol(d);
		break;
	case DOCTOR_SECRET:
		doctor_report(d, DOCTOR_SECRET, DOCTOR_GOOD, "%s",
			d->values->secret.set ? "the relay takes it"
					      : "none is given, and none is asked for");
		break;
	default:
		doctor_report(d, d->next, DOCTOR_GOOD, "%s", d->text);
		break;
	}
}

/* All that is known of the relay, and goes on. */
static void doctor_relay_done(struct doctor *d)
{
	while (d->next < d->wrong)
		doctor_report_good(d);
	if (d->wrong != DOCTOR_APPLICATION) {
		d->code = d->wrong_code;
		doctor_report(d, d->wrong, DOCTOR_WRONG, "%s", d->text);
	}
	while (d->next < DOCTOR_APPLICATION)
		doctor_report(d, d->next, DOCTOR_SKIPPED, "not asked: what is before it is wrong");
	doctor_application(d);
}

static void doctor_relay_wrong(
	struct doctor *d, enum doctor_check check, enum tunnel_failure failure, const char *text)
{
	d->wrong = check;
	d->wrong_code = common_exit_code(failure);
	(void)snprintf(d->text, sizeof(d->text), "%s", text);
}

/* --- who is there, if not a relay --- */

static void doctor_on_stranger(void *owner, const struct ask_result *asked)
{
	struct doctor *d = owner;

	d->ask = NULL;
	doctor_name_stranger(d->relay_text, asked, d->text);
	doctor_relay_done(d);
}

static int doctor_ask(struct doctor *d, const char *host, const char *say,
	void (*done)(void *owner, const struct ask_result *asked), void *owner,
	struct ask **ret_ask)
{
	return ask_start(&(struct ask_config){ .loop = &d->runtime.loop,
				 .host = host,
				 .port = d->relay.port,
				 .say = say,
				 .timeout_ms = DOCTOR_TIMEOUT_MS,
				 .done = done,
				 .owner = owner },
		ret_ask);
}

/* --- the tunnel --- */

static const enum doctor_check failure_checks[] = {
	[TUNNEL_OK] = DOCTOR_PUBLIC_PORT,
	[TUNNEL_UNRESOLVED] = DOCTOR_CLOCK, /* both worked a moment ago */
	[TUNNEL_UNREACHABLE] = DOCTOR_CLOCK,
	[TUNNEL_FRONT] = DOCTOR_FRONT,
	[TUNNEL_NOT_BORE] = DOCTOR_PROTOCOL,
	[TUNNEL_SECRET] = DOCTOR_SECRET,
	[TUNNEL_PORT] = DOCTOR_PUBLIC_PORT,
	[TUNNEL_REFUSED] = DOCTOR_PUBLIC_PORT,
	[TUNNEL_LOST] = DOCTOR_PUBLIC_PORT,
};

static void doctor_on_reached(void *owner, const struct reach_result *result)
{
	struct doctor *d = owner;
	struct tunnel_status status;

	tunnel_status(d->tunnel, &status);
	d->resumes = status.resumes;
	d->secure_wire = status.secure_wire;
	if (result->outcome == REACH_WORKS)
		(void)snprintf(d->text, sizeof(d->text),
			"%s led here in %llu ms, asked from this machine", d->public_host,
			(unsigned long long)result->duration_ms);
	else
		doctor_relay_wrong(d, DOCTOR_PUBLIC_PORT, TUNNEL_OK, result->text);
	doctor_close_tunnel(d);
}

/* Nobody else knows the port. */
static bool doctor_has_arrived(void *owner, const struct reach_mark *mark)
{
	return ((struct doctor *)owner)->visits > 0;
}

static void doctor_on_visit(void *owner, const struct tunnel_visit *visit)
{
	struct doctor *d = owner;

	d->visits += visit->opened;
}

static void doctor_on_state(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	struct doctor *d = owner;
	struct tunnel_status status;
	int r;

	if (d->closing || d->tunnel_closing)
		return;
	tunnel_status(d->tunnel, &status);
	if (new_state == TUNNEL_CONNECTED) {
		d->connected = true;
		host_format(d->relay.name, status.public_port, d->public_host);
		r = reach_start(&d->reach, d->relay.name, status.public_port);
		if (r < 0) {
			doctor_relay_wrong(d, DOCTOR_PUBLIC_PORT, TUNNEL_OK, uv_strerror(r));
			doctor_close_tunnel(d);
		}
	} else if (new_state == TUNNEL_FAILED) {
		doctor_relay_wrong(d, failure_checks[status.failure], status.failure,
			status.error ? status.error : cause);
		doctor_close_tunnel(d);
	}
}

/* The tunnel is closed: what it said is reported, but for a stranger, who is asked first. */
static void doctor_after_tunnel(struct doctor *d)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: bore\r\nConnection: close\r\n\r\n";

	if (d->wrong != DOCTOR_PROTOCOL || d->relay.scheme != HOST_RAW ||
		doctor_ask(d, d->relay.name, request, doctor_on_stranger, d, &d->ask) < 0)
		doctor_relay_done(d);
}

static void doctor_write_nothing(void *owner, FILE *out)
{
}

static void doctor_on_responder_closed(void *owner)
{
}

/* Whatever it answers: that it does is what is asked for. */
static int doctor_open_responder(struct doctor *d)
{
	struct addr loopback;
	int r = addr_parse_ip("127.0.0.1", 0, &loopback);

	d->responder.write = doctor_write_nothing;
	d->responder.closed = doctor_on_responder_closed;
	d->responder.owner = d;
	if (r == 0)
		r = metrics_server_open(&d->responder, &d->runtime.loop, &loopback);
	d->responds = r == 0;
	return r;
}

static void doctor_tunnel(struct doctor *d)
{
	const struct doctor_values *v = d->values;
	struct tunnel_config config = {
		.relay = d->relay,
		.tls_ca = v->tls_ca,
		.local_host = "127.0.0.1",
		.port = (uint16_t)v->port,
		.secret = v->secret.set ? &v->secret : NULL,
		.protocol = (enum tunnel_protocol)v->protocol,
		.option_prefix = "",
	};
	const struct tunnel_events events = {
		.state = doctor_on_state, .visit = doctor_on_visit, .owner = d
	};
	int r = doctor_open_responder(d);

	reach_init(&d->reach, &(struct reach_config){ .loop = &d->runtime.loop,
				      .arrived = doctor_has_arrived,
				      .done = doctor_on_reached,
				      .owner = d });
	if (r == 0) {
		config.local_port = addr_port(&d->responder.listener.addr);
		r = tunnel_new(&d->runtime.loop, d->runtime.pool, &config, &events, &d->tunnel);
	}
	if (r == 0) {
		tunnel_start(d->tunnel);
		return;
	}
	doctor_relay_wrong(d, DOCTOR_FRONT, TUNNEL_OK,
		r == -ENOTSUP ? "the file of --tls-ca is of no use" : uv_strerror(r));
	doctor_relay_done(d);
}

/* --- the name and the control port --- */

/* One that works is enough: the first that connects is taken. */
static void doctor_report_addresses(struct doctor *d)
{
	char text[DOCTOR_TEXT_MAX] = "", one[ADDR_TEXT_MAX];

	for (size_t i = 0; i < d->address_count; i++) {
		struct doctor_address *address = &d->addresses[i];
		size_t len = strlen(text);

		(void)snprintf(text + len, sizeof(text) - len, "%s%s%s%s", len ? ", " : "",
			addr_format(&address->addr, one),
			address->error ? ": " : " takes connections",
			address->error ? uv_strerror(address->error) : "");
	}
	doctor_report(d, DOCTOR_CONTROL_PORT, DOCTOR_GOOD, "%s", text);
	doctor_tunnel(d);
}

static void doctor_on_address(void *owner, const struct ask_result *asked)
{
	struct doctor_address *address = owner;
	struct doctor *d = address->doctor;

	address->ask = NULL;
	address->error = asked->connected ? 0 : asked->error;
	if (--d->waiting == 0)
		doctor_report_addresses(d);
}

static void doctor_ask_addresses(struct doctor *d, const struct ask_result *asked)
{
	char ip[ADDR_TEXT_MAX];

	d->address_count = asked->addr_count;
	for (size_t i = 0; i < asked->addr_count; i++) {
		struct doctor_address *address = &d->addresses[i];

		*address = (struct doctor_address){ .doctor = d, .addr = asked->addrs[i] };
		addr_set_port(&address->addr, d->relay.port);
		address->error = doctor_ask(d, addr_format_ip(&address->addr, ip), NULL,
			doctor_on_address, address, &address->ask);
		d->waiting += address->error == 0;
	}
	if (!d->waiting)
		doctor_report_addresses(d);
}

static void doctor_report_name(struct doctor *d, const struct ask_result *asked)
{
	char text[DOCTOR_TEXT_MAX] = "", ip[ADDR_TEXT_MAX];
	struct addr addr;

	if (addr_parse_ip(d->relay.name, 0, &addr) == 0) {
		doctor_report(d, DOCTOR_NAME, DOCTOR_SKIPPED, "%s is an address", d->relay.name);
		return;
	}
	for (size_t i = 0; i < asked->addr_count; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			i ? ", " : "", addr_format_ip(&asked->addrs[i], ip));
	doctor_report(d, DOCTOR_NAME, DOCTOR_GOOD, "%s is %s", d->relay.name, text);
}

static void doctor_on_name(void *owner, const struct ask_result *asked)
{
	struct doctor *d = owner;
	bool resolving = asked->end == ASK_UNRESOLVED;
	struct failure failure;

	d->ask = NULL;
	if (!resolving)
		doctor_report_name(d, asked);
	if (asked->connected) {
		doctor_ask_addresses(d, asked);
		return;
	}
	failure_of_dial(&failure, d->relay_text, d->relay.name, asked->error, resolving);
	doctor_relay_wrong(
		d, resolving ? DOCTOR_NAME : DOCTOR_CONTROL_PORT, failure.kind, failure.text);
	doctor_relay_done(d);
}

static int doctor_find_relay(struct doctor *d, struct option_set *set)
{
	const struct doctor_values *v = d->values;

	if (!v->to && !v->local_port) {
		option_set_fail(set, "there is nothing to look at: give --to, or a local port");
		return usage_error(set);
	}
	if (!v->to)
		return EXIT_CODE_OK;
	d->relay = host_of(HOST_RELAY, v->to);
	if (!d->relay.port)
		d->relay.port = (uint16_t)v->control_port;
	(void)host_format_relay(&d->relay, d->relay_text);
	(void)snprintf(d->public_host, sizeof(d->public_host), "%s", d->relay.name);
	return EXIT_CODE_OK;
}

int doctor_run(struct option_set *set, struct doctor_values *values, json_t *checks)
{
	struct doctor d = { .values = values, .checks = checks, .wrong = DOCTOR_APPLICATION };
	const struct runtime_handlers handlers = {
		.end = doctor_on_end, .end_now = doctor_close, .hup = doctor_on_hup, .owner = &d
	};
	const struct common_values common = { .half_close_timeout_ms = PUMP_HALF_CLOSE_MS,
		.workers = 1 };
	int code = common_options_load_secret(
		set, "secret", values->secret_file, NULL, &values->secret);

	if (code == EXIT_CODE_OK)
		code = doctor_find_relay(&d, set);
	if (code == EXIT_CODE_OK) {
		/* What the tunnel has to say is said here. */
		log_set_level(values->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
		code = runtime_open(&d.runtime, &common, &handlers);
	}
	if (code != EXIT_CODE_OK)
		return code;
	if (!values->to)
		doctor_application(&d);
	else if (doctor_ask(&d, d.relay.name, NULL, doctor_on_name, &d, &d.ask) < 0) {
		doctor_relay_wrong(&d, DOCTOR_NAME, TUNNEL_UNRESOLVED, "out of memory");
		doctor_relay_done(&d);
	}
	code = runtime_run(&d.runtime, &d.code);
	secret_clear(&values->secret);
	return code;
}

void doctor_write_json(json_t *report, int code)
{
	(void)json_object_set_new(report, "code", json_integer(code));
	(void)json_dumpf(report, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
}
