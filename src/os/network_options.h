/* SPDX-License-Identifier: MIT */
/*
 * The options of an application's network, for each command that runs one: what they fill, and
 * their rows. NAME(type, member): `type` is the struct that the command's table fills, and `member`
 * its struct os_network_config.
 *
 * A list of the command line takes the place of the file's where it allows something, and is added
 * to it where it denies: what was denied anywhere stays so.
 */
#ifndef OS_NETWORK_OPTIONS_H
#define OS_NETWORK_OPTIONS_H

#include <stdint.h>

#include "base/lang.h"
#include "conf/option.h"
#include "os/network_settings.h"
#include "os/run_check.h"

#define NETWORK_ROW(name_, option_type, type_, member_, field, ...)                             \
	{                                                                                       \
		.name = name_, .type = option_type,                                             \
		.offset = offsetof(type_, member_) + offsetof(struct os_network_config, field), \
		__VA_ARGS__                                                                     \
	}
#define NETWORK_ALLOW_NET(type, member)                                                      \
	NETWORK_ROW("allow-net", OPTION_LIST, type, member, allow, .value_name = "RULE",     \
		.check = run_check_rule, .key = "os.network.allow",                          \
		.help = "What the application may connect to, such as api.example.com:443, " \
			"10.1.0.0/16 or localhost:5432; nothing else; may be repeated")
#define NETWORK_BIND_PORT(type, member)                                                           \
	NETWORK_ROW("bind-port", OPTION_LIST, type, member, bind_ports, .value_name = "PORT",     \
		.check = run_check_port, .key = "os.network.bind_ports",                          \
		.help = "A port that the application may listen on beside its first one; may be " \
			"repeated")
#define NETWORK_CONNECTION_TIMEOUT_SECS(type, member)                             \
	NETWORK_ROW("connection-timeout-secs", OPTION_NUMBER, type, member,       \
		connection_timeout_secs, .value_name = "SECONDS", .min = 1,       \
		.max = NETWORK_TIMEOUT_MAX, .fallback = TEXT_OF(NETWORK_TIMEOUT), \
		.key = "os.network.connection_timeout_secs",                      \
		.help = "How long a connection of the application's may take to be established")
#define NETWORK_DENY_NET(type, member)                                                   \
	NETWORK_ROW("deny-net", OPTION_LIST, type, member, deny, .value_name = "RULE",   \
		.check = run_check_rule, .key = "os.network.deny", .adds = true,         \
		.help = "What it may not connect to, whatever --allow-net says; a name " \
			"stands for all below it, too; may be repeated")
#define NETWORK_MAX_BANDWIDTH_MBPS(type, member)                                                  \
	NETWORK_ROW("max-bandwidth-mbps", OPTION_NUMBER, type, member, max_bandwidth_mbps,        \
		.value_name = "MBITS", .max = NETWORK_BANDWIDTH_MAX,                              \
		.fallback = TEXT_OF(NETWORK_BANDWIDTH), .key = "os.network.max_bandwidth_mbps",   \
		.help = "Megabits per second, each way, of all connections of the application's " \
			"together; 0 is no limit")
#define NETWORK_MAX_CONNECTIONS(type, member)                                                  \
	NETWORK_ROW("max-connections", OPTION_NUMBER, type, member, max_connections,           \
		.value_name = "N", .min = 1, .max = NETWORK_CONNECTIONS_MAX,                   \
		.fallback = TEXT_OF(NETWORK_CONNECTIONS), .key = "os.network.max_connections", \
		.help = "At most so many connections of the application's at a time")

#endif
