/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun-guest`, the child program that runs a preview 1 module: standard streams are its own,
 * its exit code is the program's. What it can reach is the supervisor's business.
 */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/err.h"
#include "base/log.h"
#include "guest/drain.h"
#include "guest/guest_config.h"
#include "guest/guest_exit.h"
#include "guest/instance.h"

/* Every socket of the guest is one of ours, and poll(2) takes no more entries than this limit. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	_cleanup_(guest_config_deinit) struct guest_config config = { 0 };
	int r;

	/* Before anything that takes long: without its handler the signal would end the process. */
	r = drain_open();
	if (r < 0)
		return guest_fail(GUEST_EXIT_SETUP, "can't wait for signals: %s", strerror(-r));
	/* A reader that went away is an error code of the guest's call. */
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	r = guest_config_parse(&config, argc, argv);
	if (r != 0)
		return r;
	if (config.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	return instance_run(&config);
}
