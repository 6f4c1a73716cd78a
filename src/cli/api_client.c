/* SPDX-License-Identifier: MIT */
/* libcurl, told to speak plain HTTP with this machine and nobody else: no proxy, no redirect. */
#include "cli/api_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/owner.h"
#include "base/secret.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"
#include "os/run_file.h"

#define CONNECT_TIMEOUT_MS 5000L /* on this machine: for a loop that is busy */
#define ANSWER_TIMEOUT_MS 20000L /* the longest call waits 8 s for its outcome */
#define ANSWER_MAX (64U << 20)   /* bytes: lines of the log or recorded requests, escaped */
#define HEADER_MAX 128           /* "Authorization: Bearer " and a UUID */
#define URL_MAX 512

struct follower {
	bool (*woken)(void *owner);
	void *owner;
	bool heard, stopped;
};

static int api_client_fail(struct api_client *client, const char *why)
{
	if (!client->quiet)
		terminal_error("wasmrun (pid %d) does not answer at %s: %s",
			(int)client->entry->pid, client->entry->url, why);
	return EXIT_CODE_FAILED;
}

static bool api_client_add_header(struct api_client *client, const char *header)
{
	struct curl_slist *longer = curl_slist_append(client->headers, header);

	if (longer)
		client->headers = longer;
	return longer;
}

int api_client_open(struct api_client *client, const struct run_entry *entry)
{
	char header[HEADER_MAX];

	*client = (struct api_client){ .entry = entry, .curl = curl_easy_init() };
	(void)snprintf(header, sizeof header, "Authorization: Bearer %s", entry->token);
	if (!client->curl || !api_client_add_header(client, "Content-Type: application/json") ||
		(entry->token[0] && !api_client_add_header(client, header)))
		return api_client_fail(client, "out of memory");
	return EXIT_CODE_OK;
}

void api_client_close(struct api_client *client)
{
	curl_easy_cleanup(client->curl);
	curl_slist_free_all(client->headers);
}

/* Stops at the first option that can't be set: this libcurl doesn't know it, or there is no memory.
 */
static CURLcode api_client_prepare(struct api_client *client, const char *path)
{
	CURL *curl = client->curl;
	char url[URL_MAX];
	int n = snprintf(url, sizeof url, "%s%s", client->entry->url, path);
	CURLcode r = n < 0 || n >= URL_MAX ? CURLE_URL_MALFORMAT : CURLE_OK;

	curl_easy_reset(curl);
	if (r == CURLE_OK)
		r = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	if (r == CURLE_OK)
		r = curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	if (r == CURLE_OK)
		r = curl_easy_setopt(curl, CURLOPT_URL, url);
	if (r == CURLE_OK)
		r = curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
	client->error[0] = '\0';
	return r;
}

static int api_client_judge(struct api_client *client, CURLcode r)
{
	if (r == CURLE_OK)
		return EXIT_CODE_OK;
	return api_client_fail(client, client->error[0] ? client->error : curl_easy_strerror(r));
}

/* --- one answer --- */

static size_t api_client_on_answer(char *data, size_t size, size_t count, void *owner)
{
	return buf_append(owner, data, size * count) < 0 ? 0 : size * count;
}

static int api_client_read(
	struct api_client *client, const struct buf *body, long *ret_status, json_t **ret_answer)
{
	const char *why;
	long status = 0;

	(void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	*ret_status = status;
	/* A line of the log may hold a zero byte. */
	*ret_answer = json_loadb((const char *)buf_head(body), buf_len(body), JSON_ALLOW_NUL, NULL);
	if (!*ret_answer)
		return api_client_fail(client, "what it says is no JSON");
	if (status >= 200 && status < 300)
		return EXIT_CODE_OK;
	why = json_string_value(json_object_get(*ret_answer, "error"));
	terminal_error("%s", why ? why : "it was refused without a reason");
	return EXIT_CODE_FAILED;
}

int api_client_ask(struct api_client *client, const struct api_request *request, long *ret_status,
	json_t **ret_answer)
{
	/* It may hold a secret. */
	_cleanup_(secret_freep) char *text = request->body ? json_dumps(request->body, 0) : NULL;
	_cleanup_(buf_deinit) struct buf answer = { 0 };
	CURLcode r = api_client_prepare(client, request->path);
	int code;

	*ret_answer = NULL;
	buf_init(&answer, ANSWER_MAX);
	(void)curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
	(void)curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, api_client_on_answer);
	(void)curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &answer);
	if (strcmp(request->method, "POST") == 0)
		(void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, text ? text : "");
	if (r == CURLE_OK)
		r = curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (r == CURLE_OK)
		r = curl_easy_perform(client->curl);
	code = api_client_judge(client, r);
	return code == EXIT_CODE_OK ? api_client_read(client, &answer, ret_status, ret_answer)
				    : code;
}

/* --- events --- */

static size_t api_client_on_event(char *data, size_t size, size_t count, void *owner)
{
	struct follower *f = owner;

	f->heard = true;
	f->stopped = !f->woken(f->owner);
	return f->stopped ? 0 : size * count;
}

int api_client_follow(struct api_client *client, bool (*woken)(void *owner), void *owner)
{
	struct follower follower = { .woken = woken, .owner = owner };
	CURLcode r = api_client_prepare(client, "/api/events");

	(void)curl_easy_setopt(client->curl, CURLOPT_FAILONERROR, 1L);
	(void)curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, api_client_on_event);
	(void)curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &follower);
	if (r == CURLE_OK)
		r = curl_easy_perform(client->curl);
	/* A run that is killed cuts the stream off, and libcurl calls that a failure. */
	return follower.heard ? EXIT_CODE_OK : api_client_judge(client, r);
}
