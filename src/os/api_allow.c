/* SPDX-License-Identifier: MIT */
/*
 * GET and POST /api/network/allow: one more rule for 'allow' in wasmrun.toml, first to look at and
 * then to write. What is written is what was looked at: the preview has a version of the file, and
 * another version is refused.
 *
 * It is never written where the application may write there, too: it could put rules of its own
 * into what the user agrees to.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/beneath.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/secret.h"
#include "conf/toml_edit.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "os/api_file_job.h"
#include "os/api_internal.h"
#include "os/network.h"
#include "os/run_config.h"
#include "os/tree.h"

struct allow_job {
	struct file_job file;
	struct api *api; /* the loop's */
	bool writes;
	char rule[NET_RULE_TEXT_MAX];
	char version[VERSION_MAX]; /* that was looked at, if it `writes` */
	struct toml_appended made;
	size_t shown, shown_end; /* of its text: what is new, and the rules beside it */
	uint32_t shown_line;
};

/* --- in the thread --- */

/* Behind the rules, commas and blanks from `at` on, and the bracket that ends them. */
static size_t allow_skip_rules(const char *text, size_t len, size_t at)
{
	while (at < len && text[at] && strchr(" \t,\"'", text[at])) {
		char quote = text[at++];
		const char *end;

		if (quote != '"' && quote != '\'')
			continue;
		end = memchr(text + at, quote, len - at);
		if (!end || memchr(text + at, '\n', (size_t)(end - (text + at))))
			return at - 1;
		at = (size_t)(end - text) + 1;
	}
	return at + (at < len && text[at] == ']');
}

/* Behind "allow = [", which a table or a dot may stand before; `at` itself where there is none. */
static size_t allow_skip_key(const char *text, size_t len, size_t at)
{
	size_t end = at;

	while (end < len && text[end] &&
		(isalnum((unsigned char)text[end]) || strchr("_-. \t", text[end])))
		end++;
	if (end == len || text[end++] != '=')
		return at;
	while (end < len && (text[end] == ' ' || text[end] == '\t'))
		end++;
	return end < len && text[end] == '[' ? end + 1 : at;
}

/* What is new is shown, and of its lines what is nothing but rules: there may be anything else in
 * them, a secret as well. */
static void allow_show(struct allow_job *j)
{
	const char *text = j->made.text;
	size_t begin = j->made.begin, end = j->made.end, line = begin, len = j->made.len;

	while (line > 0 && text[line - 1] != '\n')
		line--;
	j->shown = allow_skip_rules(text, begin, allow_skip_key(text, begin, line)) == begin
			   ? line
			   : begin;
	while (text[j->shown] == '\n' || text[j->shown] == '\r')
		j->shown++;
	if (text[end - 1] != '\n')
		end = allow_skip_rules(text, len, end);
	j->shown_end = end < len && text[end] == '\n' ? end + 1 : end;
	j->shown_line = 1;
	for (size_t i = 0; i < j->shown; i++)
		j->shown_line += text[i] == '\n';
}

static int allow_write(struct allow_job *j)
{
	_cleanup_(fd_closep) int dir = -1;
	char etag[VERSION_ETAG_MAX];
	int r = beneath_open(j->file.root, ".", O_RDONLY | O_DIRECTORY, &dir);

	/* Where there was no file, what it says can't have been another text. */
	return r < 0 ? r
		     : file_replace(dir, j->file.path, j->made.text, j->made.len,
			       j->file.out_len ? version_etag(j->version, etag) : NULL);
}

static int allow_serve(struct file_job *file)
{
	struct allow_job *j = container_of(file, struct allow_job, file);
	int r = file_read(file);

	if (r == -ENOENT) {
		file->out = calloc(1, 1);
		r = file->out ? version_of("", 0, file->version) : -ENOMEM;
	}
	if (r < 0)
		return r;
	if (j->writes && strcmp(file->version, j->version) != 0)
		return -ESTALE;
	r = toml_append(file->out, file->out_len, "os.network", "allow", j->rule, &j->made);
	secret_wipe_stack();
	if (r < 0)
		return r;
	allow_show(j);
	return j->writes ? allow_write(j) : 0;
}

static void allow_run(struct job *job)
{
	struct file_job *file = container_of(job, struct file_job, job);

	file->result = allow_serve(file);
}

static void allow_free(struct job *job)
{
	struct allow_job *j = container_of(job, struct allow_job, file.job);

	secret_free(j->made.text);
	file_job_deinit(&j->file);
	free(j);
}

/* --- on the loop --- */

static bool allow_has(const struct policy *p, const char *rule)
{
	const struct policy_rule *at;

	for (size_t i = 0; (at = policy_rule_at(p, POLICY_ALLOW, i)); i++)
		if (strcmp(at->text, rule) == 0)
			return true;
	return false;
}

/* The policy that holds, and the rule. */
static int allow_hold(struct network *n, const char *rule, const char *where)
{
	const struct policy *old = network_policy(n);
	const struct network_limits limits = *network_limits(n);
	const struct policy_rule *at;
	char why[NET_RULE_WHY_MAX];
	struct policy *p;
	int r = 0;

	if (allow_has(old, rule))
		return 0;
	p = policy_new();
	if (!p)
		return -ENOMEM;
	for (enum policy_list list = 0; list < POLICY_LISTS; list++)
		for (size_t i = 0; r == 0 && (at = policy_rule_at(old, list, i)); i++)
			r = policy_add(p, list, at->text, at->where, why);
	if (r == 0)
		r = policy_add(p, POLICY_ALLOW, rule, where, why);
	if (r < 0) {
		policy_free(p);
		return r;
	}
	return network_set(n, p, &limits);
}

static void allow_reply_mistake(struct allow_job *j)
{
	struct http_request *request = j->file.request;

	switch (j->file.result) {
	case -ESTALE:
		http_reply_error(request, 409,
			"'" TREE_CONFIG_FILE "' has changed meanwhile: look at it again");
		return;
	case -EEXIST:
		http_reply_error(request, 409,
			"'%s' stands in '" TREE_CONFIG_FILE "' already: it counts from the next "
			"start, or what wasmrun was started with outranks it",
			j->rule);
		return;
	case -EINVAL:
		http_reply_error(request, 409,
			"'" TREE_CONFIG_FILE "' is written in a way that can't be added to here: "
			"write \"%s\" into 'allow' of [os.network] yourself",
			j->rule);
		return;
	default:
		file_reply_mistake(request, j->file.path, -j->file.result);
		return;
	}
}

/* It is written already, or isn't to be. */
static void allow_reply(struct api *api, struct http_request *request, const char *rule,
	const char *where, bool written)
{
	switch (allow_hold(api->config.network, rule, where)) {
	case 0:
		log_info("network", "'%s' is allowed from now on (%s)", rule, where);
		http_reply_json(request, 200,
			json_pack(
				"{s:b, s:s, s:b}", "success", 1, "rule", rule, "written", written));
		break;
	case -E2BIG:
		http_reply_error(request, 409,
			"%d rules are allowed, which is the most there can be: remove one first",
			POLICY_RULES_MAX);
		break;
	default:
		http_reply_error(request, 500, "out of memory");
		break;
	}
}

static void allow_done(struct job *job)
{
	struct allow_job *j = container_of(job, struct allow_job, file.job);
	char where[64];

	if (j->file.result < 0) {
		allow_reply_mistake(j);
	} else if (j->writes) {
		(void)snprintf(
			where, sizeof(where), TREE_CONFIG_FILE ":%u", (unsigned)j->made.line);
		allow_reply(j->api, j->file.request, j->rule, where, true);
	} else {
		http_reply_json(j->file.request, 200,
			json_pack("{s:b, s:s, s:s, s:s, s:I, s:o}", "success", 1, "rule", j->rule,
				"file", TREE_CONFIG_FILE, "version", j->file.version, "line",
				(json_int_t)j->shown_line, "text",
				json_text(j->made.text + j->shown, j->shown_end - j->shown)));
	}
}

static bool allow_may_write(const struct api *api, struct http_request *request, const char *rule)
{
	const struct os_run_config *run = api->config.run;

	if (run->app.writable) {
		http_reply_error(request, 403,
			"the application may write to its folder (--writable), so that "
			"'" TREE_CONFIG_FILE "' isn't written from here: write \"%s\" into "
			"'allow' of [os.network] yourself",
			rule);
		return false;
	}
	if (!*run->file_path) {
		http_reply_error(request, 409,
			"a file alone has no '" TREE_CONFIG_FILE
			"': start wasmrun with --allow-net "
			"'%s', or in a folder",
			rule);
		return false;
	}
	return true;
}

static bool allow_is_rule(struct http_request *request, const char *rule)
{
	char why[NET_RULE_WHY_MAX], shown[NET_RULE_TEXT_MAX];
	struct net_rule parsed;

	if (net_rule_parse(rule, &parsed, why) == 0)
		return true;
	http_reply_error(request, 400, "'%s' is no rule: %s",
		log_escape(shown, sizeof(shown), rule, strlen(rule)), why);
	return false;
}

/* `version` NULL: it is only looked at. */
static void allow_start(
	struct api *api, struct http_request *request, const char *rule, const char *version)
{
	struct allow_job *j;

	if (!allow_may_write(api, request, rule))
		return;
	j = calloc(1, sizeof(*j));
	if (j)
		j->file.path = strdup(TREE_CONFIG_FILE);
	if (!j || !j->file.path) {
		free(j);
		http_reply_error(request, 500, "out of memory");
		return;
	}
	j->file.job = (struct job){ .run = allow_run, .done = allow_done, .free = allow_free };
	j->file.request = request;
	j->file.root = api->config.run->project_path;
	j->api = api;
	j->writes = version;
	(void)snprintf(j->rule, sizeof(j->rule), "%s", rule);
	(void)snprintf(j->version, sizeof(j->version), "%s", version ? version : "");
	file_job_start(api, &j->file);
}

void api_look_allow(void *owner, struct http_request *request)
{
	const char *rule = http_request_text(request, "rule");

	if (allow_is_rule(request, rule))
		allow_start(owner, request, rule, NULL);
}

static void allow_read(struct api *api, struct http_request *request, json_t *body)
{
	const char *rule = json_string_value(json_object_get(body, "rule"));
	const json_t *version = json_object_get(body, "version");

	if (!rule || json_object_size(body) > (version ? 2 : 1) ||
		(version && !json_is_null(version) && !json_is_string(version))) {
		http_reply_error(request, 400,
			"a text 'rule' is wanted, and for writing it a text 'version', as the "
			"answer to a look at the rule has it");
		return;
	}
	if (!allow_is_rule(request, rule))
		return;
	if (json_is_string(version))
		allow_start(api, request, rule, json_string_value(version));
	else
		allow_reply(api, request, rule, "POST /api/network/allow", false);
}

void api_allow(void *owner, struct http_request *request)
{
	json_t *body = http_request_json(request);

	if (!body)
		return;
	allow_read(owner, request, body);
	json_decref(body);
}
