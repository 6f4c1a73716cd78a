/* SPDX-License-Identifier: MIT */
/*
 * The API of a run (os/run_file.h), from a command's side: one request after the other, each with a
 * deadline. What goes wrong is said here, on one line; results are an enum exit_code.
 */
#ifndef CLI_API_CLIENT_H
#define CLI_API_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>

struct run_entry;

struct api_client {
	const struct run_entry *entry; /* not owned */
	CURL *curl;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	bool quiet; /* a run that doesn't answer is not spoken of */
};

struct api_request {
	const char *method, *path;
	json_t *body; /* or NULL; not taken over */
};

/* `entry` outlives the client. api_client_close() follows in any case. */
int api_client_open(struct api_client *client, const struct run_entry *entry);
void api_client_close(struct api_client *client);

/*
 * EXIT_CODE_OK: *ret_answer is what was said with a status 2xx, *ret_status is which. Not OK: why
 * has been said, and *ret_answer is NULL or the refusal's object. Owned by the caller in any case.
 */
int api_client_ask(struct api_client *client, const struct api_request *request, long *ret_status,
	json_t **ret_answer);

/*
 * Calls `woken` for each piece that comes from /api/events, until it returns false or the run
 * ends: both are EXIT_CODE_OK.
 */
int api_client_follow(struct api_client *client, bool (*woken)(void *owner), void *owner);

#endif
