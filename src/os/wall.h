/* SPDX-License-Identifier: MIT */
/*
 * What an engine may reach of this machine: the rules for its files and the filter of its system
 * calls, made from what is to run. The steps that put it behind them are sandbox/spawn.h's.
 *
 * It reads its own program and libraries, the module or folder that it runs, the project, and what
 * was compiled; it writes to the folders of --dir. Nothing else is there for it: no home, no /dev,
 * no /proc, and nothing but its own program can be executed.
 */
#ifndef OS_WALL_H
#define OS_WALL_H

#include <stdbool.h>

#include "app/module.h"
#include "sandbox/spawn.h"

/* wall_abi.c: of file_rules_abi(). 0; a test of an older kernel's rules is linked with another. */
extern const unsigned wall_abi_max;
#define WALL_ABI_TRUNCATION 3 /* below it the filter refuses truncation */

struct engine_command;
struct engine_config;

/* The line of whoever starts something without it, at each start. */
#define WALL_NONE                                                                        \
	"--no-isolation: nothing but the engine keeps the application from your files, " \
	"your network and your processes: it runs with your rights"

/* The line of whoever starts something with struct wall_config's `writable`. */
#define WALL_WRITABLE                                                                       \
	"--writable: the application may change the project, and so what the next build "   \
	"runs with your rights, and what wasmrun.toml allows at the next start: give it a " \
	"folder of its own instead (--dir data::/data)"

#define WALL_FILTER_NEEDS                                                             \
	"It needs a kernel with CONFIG_SECCOMP_FILTER, and in a container a profile " \
	"that allows seccomp"

/* All borrowed. */
struct wall_config {
	const struct engine_config *engine;   /* what is run */
	const struct engine_command *command; /* by what */
	const char *folder;                   /* where that will be; NULL: where we are */
	const char *project;                  /* a folder that it may read; NULL: none */
	/* A folder of --dir that has the project in it may be written to as well; all others may in
	 * any case. Without a project it says nothing. */
	bool writable;
	bool compiles; /* it may write to engine->cache_dir */
	/* It may have run before. What lies where it may write has no rule of its own then: it may
	 * have put a link there, and a rule is for what the link leads to. */
	bool again;
};

/*
 * ret_wall->file_rules is the caller's to close. Negative errno: ret_why says in one line what
 * can't be kept and what to do. The paths are looked up now, with the rights that the engine will
 * have: root's privilege to read what is another user's isn't among them.
 */
int wall_open(
	const struct wall_config *config, struct spawn_wall *ret_wall, char ret_why[APP_WHY_MAX]);

#endif
