/* SPDX-License-Identifier: MIT */
/* From the run files to one of them. */
#include "cli/running.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/printable.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"

/* The port that the page and the API have; 0: it can't be read. */
static uint16_t running_port(const struct run_entry *entry)
{
	const char *colon = strrchr(entry->url, ':');
	uint16_t port = 0;

	if (colon)
		(void)parse_u16(colon + 1, strlen(colon + 1), &port);
	return port;
}

static bool running_fits(const struct run_entry *entry, const struct running_values *values)
{
	char resolved[PATH_MAX];
	const char *path = values->path;

	/* A folder that is gone has no real path, and may still be running. */
	if (path && realpath(path, resolved))
		path = resolved;
	return (!values->pid || (uint64_t)entry->pid == values->pid) &&
	       (!values->http_port || running_port(entry) == values->http_port) &&
	       (!path || strcmp(entry->project, path) == 0);
}

/* How many are meant by `values`; *ret_index is the last of them. */
static size_t running_count_fitting(
	const struct run_list *list, const struct running_values *values, size_t *ret_index)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		if (running_fits(&list->entries[i], values)) {
			*ret_index = i;
			count++;
		}
	return count;
}

static int running_fail_none(const struct running_values *values)
{
	if (values->pid || values->http_port)
		terminal_error("no running application is the one that is named: 'wasmrun ps' "
			       "lists them all");
	else if (values->path)
		terminal_error("'%s' is not running, start it with 'wasmrun os -p %s'",
			values->path, values->path);
	else
		terminal_error("no application is running, start one with 'wasmrun os'");
	return EXIT_CODE_NOT_RUNNING;
}

/* Lists those that `values` fits, each with the options that single it out. */
static int running_fail_several(const struct run_list *list, const struct running_values *values)
{
	terminal_error("several applications are running, name one with --http-port, --path or "
		       "--pid:");
	for (size_t i = 0; i < list->count; i++) {
		const struct run_entry *entry = &list->entries[i];

		if (!running_fits(entry, values))
			continue;
		fprintf(stderr, "  --pid %d  --http-port %u  --path ", (int)entry->pid,
			running_port(entry));
		(void)printable_write(stderr, entry->project, strlen(entry->project));
		fputc('\n', stderr);
	}
	return EXIT_CODE_NOT_RUNNING;
}

int running_list(struct run_list *ret_list)
{
	int r = run_list_read(ret_list);

	if (r == 0)
		return EXIT_CODE_OK;
	terminal_error("can't read $XDG_RUNTIME_DIR/wasmrun, or /tmp/wasmrun-UID without it: %s",
		r == -EPERM ? "it is no folder that is yours alone" : strerror(-r));
	return EXIT_CODE_FILE;
}

int running_find(struct running *running, const struct running_values *values)
{
	const struct running_values here = { .path = "." };
	const struct run_list *list = &running->list;
	size_t count;
	int code = running_list(&running->list);

	if (code != EXIT_CODE_OK)
		return code;
	running->index = 0;
	count = running_count_fitting(list, values, &running->index);
	if (count == 0)
		return running_fail_none(values);
	/* Nothing is named and several run: the one of the current folder is meant. */
	if (count > 1 && !values->path && !values->pid && !values->http_port &&
		running_count_fitting(list, &here, &running->index) == 1)
		return EXIT_CODE_OK;
	return count == 1 ? EXIT_CODE_OK : running_fail_several(list, values);
}

int running_open(struct running *running, const struct running_values *values)
{
	int code = running_find(running, values);

	if (code != EXIT_CODE_OK)
		return code;
	return api_client_open(&running->client, &running->list.entries[running->index]);
}

void running_close(struct running *running)
{
	api_client_close(&running->client);
	run_list_deinit(&running->list);
}

bool running_tunnel_is(const json_t *status, enum tunnel_state state)
{
	return json_is_string(status) &&
	       strcmp(json_string_value(status), tunnel_state_name(state)) == 0;
}

void running_write_json(json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
}

size_t running_write_text(const json_t *value)
{
	if (!json_is_string(value))
		return 0;
	return printable_write(stdout, json_string_value(value), json_string_length(value));
}
