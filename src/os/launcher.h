/* SPDX-License-Identifier: MIT */
/* Starts instances of an application: with which engine, and with what it is given. */
#ifndef OS_LAUNCHER_H
#define OS_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "app/module.h"

struct app_plan;
struct log_ring;
struct os_run_config;
struct process;
struct process_events;

struct launcher_config {
	uv_loop_t *loop;
	const struct os_run_config *run; /* outlives the launcher */
	const char *guest_program;       /* NULL: the `wasmrun-guest` beside this program */
	uint64_t open_files;             /* RLIMIT_NOFILE for the instances; 0: as ours */
	uint64_t start_timeout_ms;
	int listen_fd;           /* what the instances accept connections from */
	const char *listen_addr; /* ADDR:PORT of it; outlives the launcher */
	struct log_ring *ring;
};

/* Embedded in its owner, zeroed but for `config` at first. */
struct launcher {
	struct launcher_config config;
	bool told_cgi;    /* that modules are taken for CGI */
	char *module_dir; /* owned; NULL until the first start */
	const char *kind; /* one of app_interface_words, of the last start; NULL: none of them */
};

void launcher_deinit(struct launcher *l);

/* Negative errno: nothing runs, and ret_why says why in one line. */
int launcher_start(struct launcher *l, const struct app_plan *plan,
	const struct process_events *events, struct process **ret_process,
	char ret_why[APP_WHY_MAX]);

#endif
