/* SPDX-License-Identifier: MIT */
/* From the run files to one instance. */
#include "cli/running.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"

static void write_path(const char *path)
{
	terminal_write(stderr, path, strlen(path));
}

static int fail_none(const char *path)
{
	if (!path) {
		fputs("error: no application is running, start one with 'wasmrun os'\n", stderr);
		return EXIT_CODE_NOT_RUNNING;
	}
	fputs("error: '", stderr);
	write_path(path);
	fputs("' is not running, start it with 'wasmrun os -p ", stderr);
	write_path(path);
	fputs("'\n", stderr);
	return EXIT_CODE_NOT_RUNNING;
}

static int fail_several(const struct run_list *list)
{
	fputs("error: several applications are running, name one with --path:\n", stderr);
	for (size_t i = 0; i < list->count; i++) {
		fprintf(stderr, "  pid %d  ", (int)list->entries[i].pid);
		write_path(list->entries[i].project);
		fputc('\n', stderr);
	}
	return EXIT_CODE_NOT_RUNNING;
}

/* How many run `path`; *ret_index is the last of them. */
static size_t count_of(const struct run_list *list, const char *path, size_t *ret_index)
{
	char resolved[PATH_MAX];
	size_t count = 0;

	/* A folder that is gone may still be running. */
	if (realpath(path, resolved))
		path = resolved;
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->entries[i].project, path) == 0) {
			*ret_index = i;
			count++;
		}
	return count;
}

int running_list(struct run_list *ret_list)
{
	int r = run_list_read(ret_list);

	if (r == 0)
		return EXIT_CODE_OK;
	fprintf(stderr,
		"error: can't read $XDG_RUNTIME_DIR/wasmrun, or /tmp/wasmrun-UID without "
		"it: %s\n",
		r == -EPERM ? "it is no folder that is yours alone" : strerror(-r));
	return EXIT_CODE_FILE;
}

int running_find(struct running *running, const struct running_values *values)
{
	const struct run_list *list = &running->list;
	size_t count;
	int code = running_list(&running->list);

	if (code != EXIT_CODE_OK)
		return code;
	running->index = 0;
	if (!values->path && list->count < 2)
		return list->count ? EXIT_CODE_OK : fail_none(NULL);
	count = count_of(list, values->path ? values->path : ".", &running->index);
	if (count == 1)
		return EXIT_CODE_OK;
	return count == 0 && values->path ? fail_none(values->path) : fail_several(list);
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

void running_write_json(json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT);
	putchar('\n');
}
