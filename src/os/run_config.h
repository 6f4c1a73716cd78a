/* SPDX-License-Identifier: MIT */
/*
 * What `wasmrun os` runs with. One option table fills the struct: each value from the command line,
 * else from the environment, else from the project's wasmrun.toml, else from its default.
 */
#ifndef OS_RUN_CONFIG_H
#define OS_RUN_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "conf/option.h"
#include "os/network_settings.h"

#define OS_APP_HOST "127.0.0.1" /* where the application listens */

struct toml_file;

/* The application's part: overrides of what app/detect finds. Paths are relative to the project. */
struct os_app_config {
	const char *build;       /* shell command, run in the project's folder; NULL: as detected */
	const char *wasm;        /* the module that is run, or that `build` makes */
	struct option_list args; /* of the application */
	struct option_list env;  /* K=V */
	struct option_list dirs; /* HOST::GUEST that it may see */
	const char *fallback;    /* of a folder of files: serve/files.h; NULL: none */
	struct option_list headers;  /* of each of its answers, "NAME: VALUE" */
	uint64_t request_timeout_ms; /* without an answer; 0: for ever */
	uint64_t port;               /* on 127.0.0.1; 0: the kernel's choice */
	uint64_t kind;               /* enum app_interface, if has_kind: else as found out */
	bool has_kind;
	bool writable; /* the project's folder is, where `dirs` has it */
};

/* What it may use of this machine; 0: no limit. sandbox/cgroup.h says when they hold. */
struct os_limits_config {
	uint64_t max_memory_mib, max_threads, max_cpu_percent;
};

/* A module's memory, and as much for the engine and the cache of its files. */
#define LIMIT_MEMORY_MIB 2048
/* Tokio, in the wasmtime command, may have 512 that wait for files, and one per processor. */
#define LIMIT_THREADS 1024
#define LIMIT_CPU_PERCENT 0

/* What is printed. Where it is a terminal that is left to us, it is for a person. */
enum os_log_format {
	OS_LOG_AUTO,
	OS_LOG_PLAIN, /* lines that stay as they are, for scripts */
	OS_LOG_JSON,  /* base/json_line.h */
};

struct os_run_config {
	const char *project_path; /* folder or file */
	const char *tunnel_server, *tunnel_tls_ca, *tunnel_secret_file;
	struct secret tunnel_secret;
	uint64_t tunnel_port;     /* wanted public port, 0: any */
	uint64_t tunnel_protocol; /* enum tunnel_protocol */
	const char *listen;       /* address of the page and the API */
	uint64_t http_port;       /* 0: the kernel's choice */
	uint64_t log_format;      /* enum os_log_format */
	uint64_t expire_ms;       /* the tunnel ends by itself after so long; 0: never */
	struct os_app_config app;
	struct os_network_config network;
	struct os_limits_config limits;
	struct option_list forwards;              /* os/forward_spec.h */
	const char *connection_log;               /* os/conn_file.h; NULL: none */
	bool expose, open, quiet, verbose, watch; /* `open`: the page, in a browser */
	bool no_isolation;                        /* without os/wall.h */
	bool tunnel_retry; /* a start goes on trying when its first attempt fails */

	/* Beside the settings. */
	const char *path_option, *path_word; /* --path and the plain word: one of them at most */
	char file_path[PATH_MAX];            /* of wasmrun.toml, which need not be there */
	struct option_origin origins[OPTIONS_MAX]; /* by the table */
	struct toml_file *file; /* the texts above may point into it; NULL: none */
};

extern const struct option_table os_run_table;

/*
 * Fills *ret_config, zeroed here; os_run_config_deinit() follows in any case. 0, OPTION_WANTS_HELP,
 * or OPTION_INVALID with the line to show in set->error. The secret may still be in
 * tunnel_secret_file.
 */
int os_run_config_read(
	struct os_run_config *ret_config, struct option_set *set, int argc, char **argv);

/* Warns of a secret in the file that others can read. */
void os_run_config_warn(const struct os_run_config *config, const struct option_set *set);

/*
 * Reads [os.network] again, while the application runs: the second function does it, and may run in
 * a thread of its own; the first one, on the loop, takes over what outranks the file. All of the
 * file is judged, the rest of it is dropped. 0, or OPTION_INVALID with set->error; -ENOMEM of the
 * first one. os_run_config_deinit() follows in any case.
 */
int os_run_config_begin_reread(const struct os_run_config *config, struct os_run_config *ret_config,
	struct option_set *set);
int os_run_config_reread(struct os_run_config *config, struct option_set *set);

void os_run_config_deinit(struct os_run_config *config);

#endif
