/* SPDX-License-Identifier: MIT */
/*
 * What the application may connect to, and what was decided of it. A policy comes as a whole: what
 * the body leaves out is as if nobody had ever set it, and one mistake in it changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "net/host.h"
#include "os/api_internal.h"
#include "os/network.h"
#include "os/version.h"

#define SOURCE "PUT /api/network/policy"
#define SHOWN_MAX 128 /* of the user's text in an error */
#define MISTAKE_MAX (NET_RULE_WHY_MAX + SHOWN_MAX + 32)

/* --- as it is --- */

static json_t *policy_rules_json(const struct policy *p, enum policy_list list)
{
	const struct policy_rule *rule;
	json_t *rules = json_array();

	for (size_t i = 0; (rule = policy_rule_at(p, list, i)); i++)
		(void)json_array_append_new(rules, json_string(rule->text));
	return rules;
}

static json_t *policy_ports_json(const struct network_limits *limits)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < limits->bind_port_count; i++)
		(void)json_array_append_new(ports, json_integer(limits->bind_ports[i]));
	return ports;
}

static json_t *policy_sources_json(const struct policy *p)
{
	static const char *const lists[] = { [POLICY_ALLOW] = "allow", [POLICY_DENY] = "deny" };
	const struct policy_rule *rule;
	json_t *sources = json_array();

	for (enum policy_list list = 0; list < POLICY_LISTS; list++)
		for (size_t i = 0; (rule = policy_rule_at(p, list, i)); i++)
			(void)json_array_append_new(
				sources, json_pack("{s:s, s:s, s:s}", "list", lists[list], "rule",
						 rule->text, "where", rule->where));
	return sources;
}

static json_t *policy_json(const struct network *n)
{
	const struct policy *p = network_policy(n);
	const struct network_limits *limits = network_limits(n);

	return json_pack("{s:b, s:{s:o, s:o, s:o, s:I, s:I, s:I}, s:o}", "success", 1, "policy",
		"allow", policy_rules_json(p, POLICY_ALLOW), "deny",
		policy_rules_json(p, POLICY_DENY), "bind_ports", policy_ports_json(limits),
		"max_connections", (json_int_t)limits->max_connections, "max_bandwidth_mbps",
		(json_int_t)limits->max_bandwidth_mbps, "connection_timeout_secs",
		(json_int_t)limits->connection_timeout_secs, "sources", policy_sources_json(p));
}

/* 0 or -ENOMEM. */
static int policy_version(const struct network *n, char ret_version[VERSION_MAX])
{
	json_t *json = policy_json(n);
	_cleanup_(freep) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text ? version_of(text, strlen(text), ret_version) : -ENOMEM;
}

static void policy_reply(const struct network *n, struct http_request *request)
{
	char version[VERSION_MAX], etag[VERSION_ETAG_MAX];

	if (policy_version(n, version) == 0)
		http_request_set_etag(request, version_etag(version, etag));
	http_reply_json(request, 200, policy_json(n));
}

void api_get_policy(void *owner, struct http_request *request)
{
	struct api *api = owner;

	policy_reply(api->config.network, request);
}

/* --- another one --- */

/* What is made of a body, and what is wrong with it. */
struct policy_draft {
	const struct policy *old; /* that holds */
	struct policy *policy;    /* owned */
	struct network_limits limits;
	char mistake[MISTAKE_MAX];
};

/* Sets the mistake, and yields false. */
#define draft_refuse(draft, ...) \
	((void)snprintf((draft)->mistake, sizeof((draft)->mistake), __VA_ARGS__), false)

/* Whoever takes one rule away puts all the others again: they stand where they stood. */
static const char *draft_where(
	const struct policy_draft *draft, enum policy_list list, const char *text)
{
	const struct policy_rule *rule;

	for (size_t i = 0; (rule = policy_rule_at(draft->old, list, i)); i++)
		if (strcmp(rule->text, text) == 0)
			return rule->where;
	return SOURCE;
}

static bool draft_read_rules(
	struct policy_draft *draft, const char *key, enum policy_list list, const json_t *value)
{
	char why[NET_RULE_WHY_MAX], shown[SHOWN_MAX];
	const char *text;
	json_t *item;
	size_t i;

	if (!json_is_array(value))
		return draft_refuse(draft, "'%s' is no array of rules", key);
	json_array_foreach(value, i, item)
	{
		text = json_string_value(item);
		if (!text)
			return draft_refuse(draft, "'%s' has something that is no text", key);
		if (policy_add(draft->policy, list, text, draft_where(draft, list, text), why) < 0)
			return draft_refuse(draft, "invalid rule '%s' in '%s': %s",
				log_escape(shown, sizeof(shown), text, strlen(text)), key, why);
	}
	return true;
}

static bool draft_read_ports(struct policy_draft *draft, const json_t *value)
{
	struct network_limits *limits = &draft->limits;
	json_t *item;
	size_t i;

	if (!json_is_array(value))
		return draft_refuse(draft, "'bind_ports' is no array of ports");
	if (json_array_size(value) > NETWORK_BIND_PORTS_MAX)
		return draft_refuse(
			draft, "'bind_ports' has more than %d ports", NETWORK_BIND_PORTS_MAX);
	json_array_foreach(value, i, item)
	{
		json_int_t port = json_integer_value(item);

		if (port < 1 || port > UINT16_MAX)
			return draft_refuse(draft,
				"'bind_ports' has something that is no port from 1 to 65535");
		limits->bind_ports[limits->bind_port_count++] = (uint16_t)port;
	}
	return true;
}

static bool draft_read_number(struct policy_draft *draft, const char *key, const json_t *value)
{
	const struct {
		const char *key;
		json_int_t min, max;
		uint64_t *number;
	} rows[] = {
		{ "max_connections", 1, NETWORK_CONNECTIONS_MAX, &draft->limits.max_connections },
		{ "max_bandwidth_mbps", 0, NETWORK_BANDWIDTH_MAX,
			&draft->limits.max_bandwidth_mbps },
		{ "connection_timeout_secs", 1, NETWORK_TIMEOUT_MAX,
			&draft->limits.connection_timeout_secs },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(key, rows[i].key) != 0)
			continue;
		if (!json_is_integer(value) || json_integer_value(value) < rows[i].min ||
			json_integer_value(value) > rows[i].max)
			return draft_refuse(draft,
				"'%s' is no number from %" JSON_INTEGER_FORMAT
				" to %" JSON_INTEGER_FORMAT,
				key, rows[i].min, rows[i].max);
		*rows[i].number = (uint64_t)json_integer_value(value);
		return true;
	}
	return draft_refuse(draft,
		"'%s' is unknown: there are allow, deny, bind_ports, max_connections, "
		"max_bandwidth_mbps and connection_timeout_secs",
		key);
}

/* What is null is not said. */
static bool draft_read(struct policy_draft *draft, json_t *body)
{
	const char *key;
	json_t *value;
	bool good = true;

	json_object_foreach(body, key, value)
	{
		if (json_is_null(value))
			continue;
		if (strcmp(key, "allow") == 0)
			good = draft_read_rules(draft, key, POLICY_ALLOW, value);
		else if (strcmp(key, "deny") == 0)
			good = draft_read_rules(draft, key, POLICY_DENY, value);
		else if (strcmp(key, "bind_ports") == 0)
			good = draft_read_ports(draft, value);
		else
			good = draft_read_number(draft, key, value);
		if (!good)
			return false;
	}
	return true;
}

static void draft_clear(struct policy_draft *draft)
{
	draft->policy = policy_free(draft->policy);
}

void api_put_policy(void *owner, struct http_request *request)
{
	struct api *api = owner;
	_cleanup_(draft_clear) struct policy_draft draft = {
		.old = network_policy(api->config.network),
		.limits = { .max_connections = NETWORK_CONNECTIONS,
			.max_bandwidth_mbps = NETWORK_BANDWIDTH,
			.connection_timeout_secs = NETWORK_TIMEOUT },
	};
	const char *if_match = http_request_if_match(request);
	json_t *body = http_request_json(request);
	char version[VERSION_MAX];
	bool good;

	if (!body)
		return;
	draft.policy = policy_new();
	good = draft.policy && draft_read(&draft, body);
	json_decref(body);
	if (!draft.policy || policy_version(api->config.network, version) < 0)
		http_reply_error(request, 500, "out of memory");
	else if (!good)
		http_reply_error(request, 400, "%s", draft.mistake);
	else if (!version_may_go(version, if_match))
		http_reply_error(request, 412,
			"another policy holds by now than the one that this was made of: look at "
			"it again");
	else if (network_set(api->config.network, take_ptr(draft.policy), &draft.limits) < 0)
		http_reply_error(request, 500, "out of memory");
	else {
		log_info("network", "another policy holds from now on (" SOURCE ")");
		policy_reply(api->config.network, request);
	}
}

/* --- decisions --- */

static json_t *decision_text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *decision_json(const struct network_decision *d)
{
	const struct network_verdict *v = &d->verdict;

	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:b, s:o, s:o, s:o, s:s}", "seq",
		(json_int_t)d->seq, "time", (json_int_t)d->last_ms, "first",
		(json_int_t)d->first_ms, "count", (json_int_t)d->count, "asked",
		json_text(d->asked, strlen(d->asked)), "allowed", v->allowed, "rule",
		decision_text_or_null(v->rule), "where", decision_text_or_null(v->where), "remedy",
		decision_text_or_null(v->remedy), "why", v->why);
}

/* As `wasmrun policy check --explain`, of the policy that holds now. */
void api_explain(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const char *to = http_request_text(request, "to");
	char why[HOST_WHY_MAX], asked[DESTINATION_TEXT_MAX];
	struct network_verdict v;
	struct destination d;
	struct host host;
	int r = host_parse(HOST_ENDPOINT, to, &host, why);

	if (r == 0 && !host.port) {
		(void)snprintf(why, sizeof(why), "the port is missing");
		r = -EINVAL;
	}
	if (r == 0)
		r = destination_parse(host.name, host.port, &d, why);
	if (r != 0) {
		http_reply_error(request, 400, "'to' is no HOST:PORT: %s", why);
		return;
	}
	(void)network_allows(api->config.network, &d, NULL, &v);
	http_reply_json(request, 200,
		json_pack("{s:b, s:s, s:b, s:o, s:o, s:o, s:s, s:b}", "success", 1, "asked",
			destination_format(&d, asked), "allowed", v.allowed, "rule",
			decision_text_or_null(v.rule), "where", decision_text_or_null(v.where),
			"remedy", decision_text_or_null(v.remedy), "why", v.why, "resolves",
			d.name[0] && !hostname_is_localhost(d.name)));
}

static void decisions_append(void *owner, const struct network_decision *decision)
{
	(void)json_array_append_new(owner, decision_json(decision));
}

void api_get_decisions(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const struct network_decisions *decisions = network_decisions(api->config.network);
	json_t *list = json_array();

	network_decisions_each(
		decisions, http_request_number(request, "since"), decisions_append, list);
	http_reply_json(request, 200,
		json_pack("{s:b, s:o, s:I}", "success", 1, "decisions", list, "last",
			(json_int_t)decisions->last));
}

void api_decision(struct api *api, const struct network_decision *decision)
{
	if (api->hub.count)
		api_events_publish(api, API_EVENT_DECISION, decision_json(decision));
}
