/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun-guest`, the child program that runs a preview 1 module: standard streams are its own,
 * its exit code is the program's. It also serves a module that has no sockets, and a folder of
 * files. What it can reach is the supervisor's business.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/log.h"
#include "guest/cgi.h"
#include "guest/drain.h"
#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/wasm_instance.h"
#include "guest/compiled.h"
#include "guest/wasm_module.h"
#include "sandbox/filter.h"
#include "serve/files.h"
#include "serve/serve.h"

/* Every socket of the guest is one of ours, and poll(2) takes no more entries than this limit. */
static void guest_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int guest_run_program(struct guest_config *config)
{
	_cleanup_(compiled_close) struct compiled program = { 0 };
	int r = compiled_open(&program, config);

	if (r == 0)
		wasm_instance_run(&program, NULL, &config->end);
	return r;
}

/* An empty line on the status pipe says that the module is kept. One that can't be is none the
 * worse. */
static int guest_compile(struct guest_config *config)
{
	_cleanup_(compiled_close) struct compiled program = { 0 };
	int r = compiled_open(&program, config);

	if (r == 0 && wasm_module_keep(program.module, config->cache) == 0 &&
		config->status_fd >= 0)
		(void)!write(config->status_fd, "\n", 1);
	return r;
}

static int guest_serve_files(struct guest_config *config)
{
	struct files files = {
		.path = config->module,
		.fallback = config->fallback,
		.fields = config->fields,
		.field_count = config->n_fields,
	};
	struct serve_config serve = {
		.listen_fd = config->listen_fd,
		.handler = files_answer,
		.owner = &files,
	};
	const char *missing;
	int r = files_check(&files, &missing);

	if (r < 0)
		return guest_fail(&config->end, GUEST_EXIT_READ, "can't open the %s '%s': %s",
			missing == files.path ? "folder" : "fallback", missing, strerror(-r));
	serve.status_fd = config->status_fd;
	r = serve_run(&serve);
	return r < 0 ? guest_fail(&config->end, GUEST_EXIT_SETUP, "can't serve: %s", strerror(-r))
		     : 0;
}

/* Returns 0, or an enum guest_exit, and the config's end says how it was. */
static int (*const guest_modes[])(struct guest_config *config) = {
	[GUEST_PROGRAM] = guest_run_program,
	[GUEST_CGI] = cgi_run,
	[GUEST_FILES] = guest_serve_files,
	[GUEST_COMPILE] = guest_compile,
};

static void guest_run(struct guest_config *config)
{
	int r = 0;

	if (config->verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	/* Whatever becomes of this process, it stays this program, also without a wall. A kernel
	 * that has no filters has no wall either. */
	r = filter_enter((struct filter_options){ .kind = FILTER_SEAL });
	if (r < 0 && r != -ENOSYS && r != -EINVAL) {
		guest_fail(&config->end, GUEST_EXIT_SETUP, "can't be sealed: %s", strerror(-r));
		return;
	}
	r = 0;
	/* Before anything that takes long or starts a thread: the signal would end the process. */
	if (config->mode == GUEST_PROGRAM)
		r = drain_open();
	else if (config->mode != GUEST_COMPILE)
		serve_init();
	if (r < 0) {
		guest_fail(
			&config->end, GUEST_EXIT_SETUP, "can't wait for signals: %s", strerror(-r));
		return;
	}
	/* A line of the log is seen when it is written. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)guest_modes[config->mode](config);
}

int main(int argc, char **argv)
{
	_cleanup_(guest_config_deinit) struct guest_config config = { 0 };

	/* A reader that went away is an error code of the guest's call. */
	signal(SIGPIPE, SIG_IGN);
	guest_raise_descriptor_limit();
	if (guest_config_parse(&config, argc, argv) == 0)
		guest_run(&config);
	return guest_end_tell(&config.end, config.status_fd);
}
