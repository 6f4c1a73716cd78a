/* SPDX-License-Identifier: MIT */
#include "cli/server_options.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/usage.h"
#include "conf/option_value.h"
#include "front/trusted.h"
#include "net/addr.h"
#include "net/host.h"
#include "net/local_ports.h"
#include "proto/handshake.h"
#include "proto/options.h"
#include "relay/relay.h"

#define RESERVED_TEXT_MAX 4096 /* of ip_local_reserved_ports: what is longer is cut */
#define LIMIT_MAX 1000000      /* of every count: more than a process has descriptors */

static_assert(offsetof(struct server_values, common) == 0, "the shared entries' offsets");

#define LIMIT(name_, member, default_, help_)                                          \
	{                                                                              \
		.name = name_, .type = OPTION_NUMBER, .value_name = "COUNT", .min = 1, \
		.max = LIMIT_MAX, .fallback = default_, .help = help_,                 \
		.offset = offsetof(struct server_values, member)                       \
	}

static const struct option_def server_options[] = {
	{ .name = "bind-addr",
		.type = OPTION_TEXT,
		.value_name = "BIND_ADDR",
		.check = host_check,
		.form = HOST_ADDRESS,
		.help = "IP address to bind to, clients must reach this; default is every address, "
			"IPv4 and IPv6",
		.offset = offsetof(struct server_values, bind_addr) },
	{ .name = "bind-tunnels",
		.type = OPTION_TEXT,
		.value_name = "BIND_TUNNELS",
		.check = host_check,
		.form = HOST_ADDRESS,
		.help = "IP address where tunnels will listen on, defaults to --bind-addr",
		.offset = offsetof(struct server_values, bind_tunnels) },
	{ .name = "connection-log",
		.type = OPTION_FILE,
		.value_name = "FILE",
		.help = "Append tunnels and visitors to a file, opened anew at SIGHUP; - is "
			"standard output",
		.offset = offsetof(struct server_values, connection_log) },
	{ .name = "control-port",
		.type = OPTION_NUMBER,
		.value_name = "PORT",
		.max = UINT16_MAX,
		.fallback = TEXT_OF(CONTROL_PORT),
		.help = "Port that clients connect to; 0 is the kernel's choice",
		.offset = offsetof(struct server_values, control_port) },
	COMMON_DATA_PATH,
	COMMON_GRACE("30s"),
	COMMON_HALF_CLOSE_TIMEOUT,
	{ .name = "handover",
		.type = OPTION_FILE,
		.value_name = "PATH",
		.help = "Take over the ports and clients of the relay that serves at this Unix "
			"socket, if there is one, and let the next one do so",
		.offset = offsetof(struct server_values, handover) },
	COMMON_HELP,
	COMMON_IDLE_TIMEOUT,
	COMMON_JSON,
	LIMIT("max-conns", max_conns, "4096", "Open connections of a tunnel"),
	LIMIT("max-conns-total", max_conns_total, "65536", "Open connections in all"),
	LIMIT("max-handshakes", max_handshakes, "256",
		"Control connections that have not yet said what they want; from half of it on, "
		"some are dropped at random"),
	LIMIT("max-pending", max_pending, "128",
		"Visitors of a tunnel that wait for its client to take them; further ones stay in "
		"the kernel's queue meanwhile"),
	LIMIT("max-pending-total", max_pending_total, "4096",
		"Waiting visitors in all; tunnels with further ones take turns"),
	{ .name = "max-port",
		.type = OPTION_NUMBER,
		.value_name = "MAX_PORT",
		.max = UINT16_MAX,
		.env = "BORE_MAX_PORT",
		.fallback = "65535",
		.help = "Maximum accepted TCP port number",
		.offset = offsetof(struct server_values, max_port) },
	{ .name = "max-ready",
		.type = OPTION_NUMBER,
		.value_name = "COUNT",
		.max = OPTIONS_READY_MAX,
		.fallback = "64",
		.help = "Warm connections of a tunnel, which its client opens ahead of its "
			"visitors; 0 for none",
		.offset = offsetof(struct server_values, max_ready) },
	LIMIT("max-ready-total", max_ready_total, "8192",
		"Warm connections in all, and at most a fourth of the open files"),
	{ .name = "max-tunnel-age",
		.type = OPTION_DURATION,
		.value_name = "DURATION",
		.fallback = "none",
		.max = COMMON_DURATION_MAX,
		.help = "End a tunnel after so long; its client is told why, and may open another",
		.offset = offsetof(struct server_values, max_tunnel_age_ms) },
	LIMIT("max-tunnels-per-addr", max_tunnels_per_addr, "64",
		"Tunnels of one client address (IPv6: of one /64)"),
	COMMON_METRICS,
	{ .name = "min-port",
		.type = OPTION_NUMBER,
		.value_name = "MIN_PORT",
		.max = UINT16_MAX,
		.env = "BORE_MIN_PORT",
		.fallback = "1024",
		.help = "Minimum accepted TCP port number",
		.offset = offsetof(struct server_values, min_port) },
	{ .name = "no-line-dialect",
		.type = OPTION_FLAG,
		.help = "Refuse the older line dialect, and send the challenge without the wait "
			"that telling the two apart takes",
		.offset = offsetof(struct server_values, no_line_dialect) },
	{ .name = "public",
		.type = OPTION_FLAG,
		.env = "BORE_PUBLIC",
		.help = "Without a secret, or with an empty one, and beyond loopback: it is meant",
		.offset = offsetof(struct server_values, public) },
	COMMON_QUIET,
	COMMON_SECRET,
	COMMON_SECRET_FILE,
	{ .name = "trusted-proxy",
		.type = OPTION_LIST,
		.value_name = "CIDR",
		.check = trusted_check,
		.help = "Believe what the HTTP fronts and PROXY protocol senders of this address "
			"or "
			"network say of their clients, and take nothing else from there; may be "
			"repeated",
		.offset = offsetof(struct server_values, trusted_proxies) },
	COMMON_VERBOSE,
	COMMON_WORKERS,
};

const struct option_table server_table = {
	.program = "bore",
	.command = "server",
	.summary = "Runs the remote proxy server",
	.defs = server_options,
	.count = ARRAY_LEN(server_options),
};

static void server_parse_bind(
	const char *text, uint16_t port, struct addr *ret_addr, bool *ret_dual)
{
	*ret_addr = host_of(HOST_ADDRESS, text).addr;
	addr_set_port(ret_addr, port);
	/* "::" takes IPv4 too, as with stock bore. */
	*ret_dual = ret_addr->sa.sa_family == AF_INET6 && addr_is_any(ret_addr);
}

static int server_trust(
	const struct server_values *v, struct option_set *set, struct trusted *trusted)
{
	const struct option_list *proxies = &v->trusted_proxies;
	char why[TRUSTED_WHY_MAX];

	if (proxies->count > TRUSTED_MAX) {
		option_set_fail(
			set, "there are more than " TEXT_OF(
				     TRUSTED_MAX) " '--trusted-proxy': name larger networks");
		return -E2BIG;
	}
	for (size_t i = 0; i < proxies->count; i++)
		(void)trusted_parse(proxies->items[i], &trusted->nets[trusted->count++], why);
	return 0;
}

static int server_fill_config(
	const struct server_values *v, struct option_set *set, struct relay_config *config)
{
	const uint16_t port = (uint16_t)v->control_port;
	const char *bind_addr = v->bind_addr ? v->bind_addr : "::";
	const char *bind_tunnels = v->bind_tunnels ? v->bind_tunnels : bind_addr;

	*config = (struct relay_config){
		/* Port 0 stands for any, and is nobody's public port. */
		.min_port = v->min_port ? (uint16_t)v->min_port : 1,
		.max_port = (uint16_t)v->max_port,
		.secret = v->common.secret.set ? &v->common.secret : NULL,
		.line_dialect = !v->no_line_dialect,
		.max_tunnels_per_addr = (uint32_t)v->max_tunnels_per_addr,
		.max_pending_per_tunnel = (uint32_t)v->max_pending,
		.max_pending = (uint32_t)v->max_pending_total,
		.max_conns_per_tunnel = (uint32_t)v->max_conns,
		.max_conns = (uint32_t)v->max_conns_total,
		.max_handshakes = (uint32_t)v->max_handshakes,
		.max_ready_per_tunnel = (uint32_t)v->max_ready,
		.max_ready = (uint32_t)v->max_ready_total,
		.max_tunnel_age_ms = v->max_tunnel_age_ms,
		.grace_ms = v->common.grace_ms,
		.half_close_timeout_ms = v->common.half_close_timeout_ms,
		.idle_timeout_ms = v->common.idle_timeout_ms,
	};
	if (config->min_port > config->max_port) {
		option_set_fail(set, "port range is empty: '--min-port' is above '--max-port'");
		return usage_error(set);
	}
	if (v->common.json && v->connection_log && strcmp(v->connection_log, "-") == 0) {
		option_set_fail(set,
			"'--json' and '--connection-log -' both want standard output: name a file");
		return usage_error(set);
	}
	if (server_trust(v, set, &config->trusted) < 0)
		return usage_error(set);
	server_parse_bind(bind_addr, port, &config->bind_addr, &config->bind_dual);
	server_parse_bind(bind_tunnels, 0, &config->bind_tunnels, &config->bind_tunnels_dual);
	return EXIT_CODE_OK;
}

static const char *server_secret_place(const struct server_values *v, const struct option_set *set)
{
	if (v->common.secret_file)
		return "the file of --secret-file";
	switch (option_set_source(set, "secret")) {
	case OPTION_FROM_ENV:
		return "BORE_SECRET";
	case OPTION_FROM_ARG:
		return "--secret";
	default:
		return "the credential 'bore-secret'";
	}
}

/* White space alone is what an accident leaves, too: a blank variable, a file of CR LF. */
static bool server_keeps_out(const struct secret *secret)
{
	return secret->set && secret->text[strspn(secret->text, " \t\r\n")];
}

/*
 * An empty secret is nearly always an accident, an unset variable or a file that came out empty,
 * and keeps nobody out: beyond loopback it is refused. An enum exit_code.
 */
static int server_check_secret(
	const struct server_values *v, const struct option_set *set, const struct addr *bind)
{
	const struct secret *secret = &v->common.secret;

	if (!secret->set || server_keeps_out(secret) || v->public || addr_is_loopback(bind))
		return EXIT_CODE_OK;
	log_error("server",
		"the secret is empty, which keeps nobody out: put one into %s, such as "
		"'openssl rand -hex 32' makes, or say with --public that everybody may "
		"open tunnels",
		server_secret_place(v, set));
	return EXIT_CODE_SECRET;
}

/*
 * A relay without a secret is what stock bore's users start by `bore server`, and what the scripts
 * of a drop-in must go on to start: it is warned about, unless --public says that it is meant.
 */
static void server_warn_open(
	const struct server_values *v, const struct option_set *set, const struct addr *bind)
{
	const struct secret *secret = &v->common.secret;
	bool local = addr_is_loopback(bind);

	if (server_keeps_out(secret))
		return;
	if (secret->set)
		log_warn("server",
			"the secret is empty: anyone who reaches the control port and gives an "
			"empty one can open tunnels; put one into %s, such as 'openssl rand -hex "
			"32' makes",
			server_secret_place(v, set));
	else if (v->public)
		log_info("server", "open to everybody, as --public has it: no secret is set");
	else
		log_warn("server",
			"no secret is set: anyone who reaches the control port can open "
			"tunnels%s; give one with --secret-file or BORE_SECRET%s",
			local ? "" : ", and whatever he serves there has your address",
			local ? "" : ", or say with --public that it is meant");
}

/* A port that an outgoing connection of this machine has just then can't be a tunnel's. */
static void server_warn_ports(const struct relay_config *config)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
	char reserved[RESERVED_TEXT_MAX] = "";
	uint16_t low, high, from, to;

	if (file && !fgets(reserved, sizeof(reserved), file))
		reserved[0] = '\0';
	if (file)
		(void)fclose(file);
	local_ports_range(&low, &high);
	from = config->min_port > low ? config->min_port : low;
	to = config->max_port < high ? config->max_port : high;
	if (addr_is_loopback(&config->bind_tunnels) || !local_ports_unreserved(from, to, reserved))
		return;
	log_warn("server",
		"the kernel gives ports %u to %u to this machine's own connections, and a tunnel "
		"that wants one of them may find it taken: choose a range outside with --min-port "
		"and --max-port, or set net.ipv4.ip_local_reserved_ports=%u-%u with sysctl",
		low, high, from, to);
}

int server_make_config(
	const struct server_values *v, struct option_set *set, struct relay_config *ret_config)
{
	int code = server_fill_config(v, set, ret_config);

	return code == EXIT_CODE_OK ? server_check_secret(v, set, &ret_config->bind_addr) : code;
}

void server_warn(const struct server_values *v, const struct option_set *set,
	const struct relay_config *config)
{
	server_warn_open(v, set, &config->bind_addr);
	server_warn_ports(config);
}
