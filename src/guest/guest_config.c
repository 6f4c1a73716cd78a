/* SPDX-License-Identifier: MIT */
/* One function per option, and one table of them. */
#include "guest/guest_config.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/module.h"
#include "base/lang.h"
#include "base/fd.h"
#include "base/parse.h"
#include "guest/cgi.h"
#include "guest/guest_exit.h"
#include "serve/field.h"

static int guest_config_set_dir(struct guest_config *c, char *arg)
{
	const char *separator = strstr(arg, "::");
	size_t host_len = separator ? (size_t)(separator - arg) : strlen(arg);
	struct guest_dir *dir = &c->dirs[c->n_dirs];

	if (host_len == 0 || (separator && separator[2] == '\0'))
		return -EINVAL;
	dir->host = strndup(arg, host_len);
	dir->guest = strdup(separator ? separator + 2 : arg);
	c->n_dirs++;
	return dir->host && dir->guest ? 0 : -ENOMEM;
}

/* NAME alone has the value that it has here: values don't stand where everybody can read them. */
static int guest_config_set_env(struct guest_config *c, char *arg)
{
	size_t len = strlen(arg);

	for (char **own = environ; !strchr(arg, '=') && *own; own++)
		if (strncmp(*own, arg, len) == 0 && (*own)[len] == '=')
			arg = *own;
	if (!strchr(arg, '='))
		return guest_fail(
			&c->end, GUEST_EXIT_USAGE, "--env '%s': it has no value here", arg);
	if (arg[0] == '=')
		return -EINVAL;
	c->env[c->n_env++] = arg;
	return 0;
}

static int guest_config_set_listen_fd(struct guest_config *c, char *arg)
{
	uint16_t fd;
	int r = parse_u16(arg, strlen(arg), &fd);

	if (r < 0)
		return r;
	c->listens = true;
	c->listen_fd = fd;
	return 0;
}

static int guest_config_set_broker_fd(struct guest_config *c, char *arg)
{
	uint16_t fd;
	int r = parse_u16(arg, strlen(arg), &fd);

	if (r == 0)
		c->broker_fd = fd;
	return r;
}

static int guest_config_set_status_fd(struct guest_config *c, char *arg)
{
	uint16_t fd;
	int r = parse_u16(arg, strlen(arg), &fd);

	if (r == 0)
		c->status_fd = fd;
	return r;
}

static int guest_config_set_memory_max(struct guest_config *c, char *arg)
{
	return parse_u64(arg, strlen(arg), 1, UINT64_C(1) << 32, &c->memory_max);
}

static int guest_config_set_cache(struct guest_config *c, char *arg)
{
	c->cache = arg;
	return 0;
}

static int guest_config_set_empty(struct guest_config *c, char *arg)
{
	c->empty = arg;
	return 0;
}

static int guest_config_set_timeout(struct guest_config *c, char *arg)
{
	c->has_timeout = true;
	c->timeout_ms = 0;
	return strcmp(arg, "none") == 0 ? 0 : parse_duration_ms(arg, &c->timeout_ms);
}

static int guest_config_set_cgi(struct guest_config *c, char *arg)
{
	c->mode = GUEST_CGI;
	return 0;
}

static int guest_config_set_compile(struct guest_config *c, char *arg)
{
	c->mode = GUEST_COMPILE;
	return 0;
}

static int guest_config_set_files(struct guest_config *c, char *arg)
{
	c->mode = GUEST_FILES;
	return 0;
}

static int guest_config_set_fallback(struct guest_config *c, char *arg)
{
	c->fallback = arg;
	return 0;
}

static int guest_config_set_header(struct guest_config *c, char *arg)
{
	if (field_refusal(arg))
		return -EINVAL;
	c->fields[c->n_fields++] = field_split(arg);
	return 0;
}

static int guest_config_set_quick(struct guest_config *c, char *arg)
{
	c->quick = true;
	return 0;
}

static int guest_config_set_verbose(struct guest_config *c, char *arg)
{
	c->verbose = true;
	return 0;
}

static int guest_config_set_walled(struct guest_config *c, char *arg)
{
	c->walled = true;
	return 0;
}

static const struct {
	const char *name;
	int has_arg;
	int (*fn)(struct guest_config *c, char *arg);
} options[] = {
	{ "broker-fd", required_argument, guest_config_set_broker_fd },
	{ "cache", required_argument, guest_config_set_cache },
	{ "cgi", no_argument, guest_config_set_cgi },
	{ "compile", no_argument, guest_config_set_compile },
	{ "dir", required_argument, guest_config_set_dir },
	{ "empty", required_argument, guest_config_set_empty },
	{ "env", required_argument, guest_config_set_env },
	{ "fallback", required_argument, guest_config_set_fallback },
	{ "files", no_argument, guest_config_set_files },
	{ "header", required_argument, guest_config_set_header },
	{ "listen-fd", required_argument, guest_config_set_listen_fd },
	{ "memory-max", required_argument, guest_config_set_memory_max },
	{ "quick", no_argument, guest_config_set_quick },
	{ "status-fd", required_argument, guest_config_set_status_fd },
	{ "timeout", required_argument, guest_config_set_timeout },
	{ "verbose", no_argument, guest_config_set_verbose },
	{ "walled", no_argument, guest_config_set_walled },
};

/* getopt's view of the table: the value of each is its index. */
static int guest_config_next(int argc, char **argv)
{
	struct option table[ARRAY_LEN(options) + 1] = { 0 };
	int i;

	for (size_t n = 0; n < ARRAY_LEN(options); n++) {
		table[n].name = options[n].name;
		table[n].has_arg = options[n].has_arg;
	}
	/* "+" ends at the module: what follows is the guest's own. */
	switch (getopt_long(argc, argv, "+", table, &i)) {
	case 0:
		return i;
	case -1:
		return -1;
	default:
		return -2;
	}
}

int guest_config_parse(struct guest_config *c, int argc, char **argv)
{
	bool needs_listener;
	int i;

	*c = (struct guest_config){
		.dirs = calloc((size_t)argc, sizeof(*c->dirs)),
		.env = calloc((size_t)argc, sizeof(*c->env)),
		.fields = calloc((size_t)argc, sizeof(*c->fields)),
		.listen_fd = -1,
		.broker_fd = -1,
		.status_fd = -1,
	};
	if (!c->dirs || !c->env || !c->fields)
		return guest_fail(&c->end, GUEST_EXIT_SETUP, "out of memory");
	while ((i = guest_config_next(argc, argv)) >= 0) {
		int r = options[i].fn(c, optarg);

		if (r > 0)
			return r;
		if (r < 0)
			return guest_fail(&c->end, GUEST_EXIT_USAGE, "--%s '%s': %s",
				options[i].name, optarg, strerror(-r));
	}
	needs_listener = c->mode == GUEST_CGI || c->mode == GUEST_FILES;
	if (i == -2 || optind >= argc || (needs_listener && !c->listens) ||
		(c->mode == GUEST_PROGRAM && c->listens && !c->empty) ||
		(c->mode == GUEST_COMPILE && !c->cache))
		return guest_fail(&c->end, GUEST_EXIT_USAGE,
			"usage: wasmrun-guest [--cgi|--compile|--files] [--dir HOST::GUEST]... "
			"[--env NAME[=VALUE]]... [--listen-fd N] [--empty DIR] [--broker-fd N] "
			"[--walled] [--status-fd N] "
			"[--memory-max BYTES] [--cache DIR] [--fallback FILE] [--header TEXT]... "
			"[--timeout DURATION] [--quick] [--verbose] MODULE [ARGUMENT...]");
	if (c->memory_max == 0)
		c->memory_max = c->mode == GUEST_CGI ? CGI_MEMORY_MAX : GUEST_MEMORY_MAX_DEFAULT;
	if (!c->has_timeout && c->mode == GUEST_CGI)
		c->timeout_ms = APP_REQUEST_TIMEOUT_S * 1000;
	c->module = argv[optind];
	c->args = argv + optind + 1;
	return 0;
}

void guest_config_deinit(struct guest_config *c)
{
	for (size_t i = 0; i < c->n_dirs; i++) {
		free(c->dirs[i].host);
		free(c->dirs[i].guest);
	}
	free(c->dirs);
	free(c->env);
	free(c->fields);
	c->listen_fd = fd_close(c->listen_fd);
	c->broker_fd = fd_close(c->broker_fd);
	c->status_fd = fd_close(c->status_fd);
}
