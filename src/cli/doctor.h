/* SPDX-License-Identifier: MIT */
/*
 * What stands between a visitor and the application, looked at piece by piece, in the order in
 * which one depends on the other: the relay's name, its control port, this machine's clock, the
 * HTTP front before it, the protocol, the secret, the public port as a visitor sees it, and the
 * local application. `bore doctor` and `wasmrun doctor` share it, options included.
 *
 * It is the tunnel's own client that speaks with the relay, so that what is said here is what `bore
 * local` would say. Its application is a small responder of ours, so the public port can be tried
 * without yours.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/secret.h"
#include "cli/exit_code.h"
#include "net/host.h"
#include "proto/handshake.h"
#include "tunnel/tunnel.h"

#define DOCTOR_TIMEOUT_MS 5000 /* for each connection: a firewall that drops is silent for ever */

#define DOCTOR_TEXT_MAX 1024

struct option_set;

enum doctor_check {
	DOCTOR_NAME,
	DOCTOR_CONTROL_PORT,
	DOCTOR_CLOCK,
	DOCTOR_FRONT,
	DOCTOR_PROTOCOL,
	DOCTOR_SECRET,
	DOCTOR_PUBLIC_PORT,
	DOCTOR_APPLICATION,
	DOCTOR_CHECKS,
};

struct doctor_values {
	const char *to, *local_host, *tls_ca, *secret_file;
	uint64_t local_port; /* 0: none is to be looked at */
	uint64_t control_port, port;
	uint64_t protocol; /* enum tunnel_protocol */
	struct secret secret;
	bool json, verbose;
};

#define DOCTOR(name_, type_, member_, ...)                                                       \
	{                                                                                        \
		.name = name_, .type = type_, .offset = offsetof(struct doctor_values, member_), \
		__VA_ARGS__                                                                      \
	}
/* The whole table. `port_env_` and so on are variables that the program knows anyway. */
#define DOCTOR_OPTIONS(port_env_, secret_env_, server_env_)                                        \
	DOCTOR("LOCAL_PORT", OPTION_NUMBER, local_port, .positional = true, .min = 1,              \
		.max = UINT16_MAX, .env = port_env_,                                               \
		.help = "Port of the local application to look at"),                               \
		DOCTOR("control-port", OPTION_NUMBER, control_port, .value_name = "PORT",          \
			.min = 1, .max = UINT16_MAX, .fallback = TEXT_OF(CONTROL_PORT),            \
			.help = "Control port of the remote server, where --to names none"),       \
		{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },      \
		DOCTOR("json", OPTION_FLAG, json, .help = "Print a JSON object"),                  \
		DOCTOR("local-host", OPTION_TEXT, local_host, .letter = 'l', .value_name = "HOST", \
			.fallback = "localhost", .check = host_check, .form = HOST_ALONE,          \
			.help = "Where the local application is"),                                 \
		DOCTOR("port", OPTION_NUMBER, port, .letter = 'p', .value_name = "PORT",           \
			.max = UINT16_MAX, .fallback = "0",                                        \
			.help = "Public port to try; 0 leaves the choice to the server"),          \
		DOCTOR("protocol", OPTION_CHOICE, protocol, .value_name = "PROTOCOL",              \
			.choices = tunnel_protocol_names, .fallback = "auto",                      \
			.help = "Dialect to speak with the server, see bore-local(1)"),            \
		DOCTOR("secret", OPTION_SECRET, secret, .letter = 's', .value_name = "SECRET",     \
			.env = secret_env_, .help = "Secret of the server"),                       \
		DOCTOR("secret-file", OPTION_FILE, secret_file, .value_name = "FILE",              \
			.help = "Read that secret from a file (without its last newline)"),        \
		DOCTOR("tls-ca", OPTION_FILE, tls_ca, .value_name = "FILE",                        \
			.help = "For --to https://: trust the CA certificates in this file "       \
				"(PEM), in place of the system's"),                                \
		DOCTOR("to", OPTION_TEXT, to, .letter = 't', .value_name = "HOST[:PORT]",          \
			.env = server_env_, .check = host_check, .form = HOST_RELAY,               \
			.help = "The remote server to look at, or the URL of an HTTP front "       \
				"before it"),                                                      \
		DOCTOR("verbose", OPTION_FLAG, verbose, .letter = 'v',                             \
			.help = "Log every step to standard error")

/* Looks at what `values` names, and prints a line for each check as it is decided, and one more
 * with cause and remedy for what is wrong; or, with --json, fills `checks`, an array of objects.
 * Returns the enum exit_code of the first that is wrong. Its secret is cleared. */
int doctor_run(struct option_set *set, struct doctor_values *values, json_t *checks);

/* The report of --json on one line, with `code` as its last member. */
void doctor_write_json(json_t *report, int code);

#endif
