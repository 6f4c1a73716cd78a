/* SPDX-License-Identifier: MIT */
/*
 * Each path is made and given to the rules in one list, whose texts are owned. When memory runs out
 * the list says so once, at its end.
 */
#include "os/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "conf/option.h"
#include "os/engine_command.h"
#include "os/engine_program.h"
#include "os/run_given.h"
#include "sandbox/file_rules.h"

#define SHOWN_MAX 192 /* of a path in a message */

struct wall_rules {
	struct file_rule *items;
	size_t count;
	bool full;  /* there was no memory for all */
	bool given; /* the module lies where the application may write */
};

static void wall_rules_clear(struct wall_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		free((char *)rules->items[i].path);
	free(rules->items);
}

static _printf_(4, 5) void wall_add(
	struct wall_rules *rules, enum file_access access, bool optional, const char *fmt, ...)
{
	struct file_rule *items;
	va_list ap;
	char *path;
	int n;

	if (rules->full)
		return;
	items = reallocarray(rules->items, rules->count + 1, sizeof *items);
	if (!items) {
		rules->full = true;
		return;
	}
	rules->items = items;
	va_start(ap, fmt);
	n = vasprintf(&path, fmt, ap);
	va_end(ap);
	if (n < 0)
		rules->full = true;
	else
		items[rules->count++] = (struct file_rule){ path, access, optional };
}

/* --- what there is to be seen --- */

/* Where ld.so(8) looks, and what it finds there by. */
static void wall_add_libraries(struct wall_rules *rules)
{
	static const char *const places[] = { "/lib", "/lib64", "/usr/lib", "/usr/lib64",
		"/usr/local/lib", "/etc/ld.so.cache" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		wall_add(rules, FILE_ACCESS_READ, true, "%s", places[i]);
}

/* These two are the only files that can be executed. */
static int wall_add_engine(
	struct wall_rules *rules, const struct engine_command *command, char *ret_why)
{
	const char *program = command->argv.items[0];
	_cleanup_(freep) char *interpreter = NULL;
	char shown[SHOWN_MAX];
	int r = access(program, X_OK) < 0 ? -errno : engine_interpreter(program, &interpreter);

	log_escape(shown, sizeof shown, program, strlen(program));
	if (r == -ENOEXEC)
		snprintf(ret_why, APP_WHY_MAX,
			"'%s' is a script, or of another machine: behind the wall of isolation "
			"only the program itself can run; put that on PATH instead",
			shown);
	else if (r < 0)
		snprintf(ret_why, APP_WHY_MAX, "can't start '%s': %s", shown, strerror(-r));
	if (r < 0)
		return r;
	wall_add(rules, FILE_ACCESS_RUN, false, "%s", program);
	if (interpreter) {
		wall_add(rules, FILE_ACCESS_RUN, false, "%s", interpreter);
		wall_add(rules, FILE_ACCESS_READ, false, "%.*s",
			(int)max_u64((uint64_t)(strrchr(interpreter, '/') - interpreter), 1),
			interpreter);
		wall_add_libraries(rules);
	}
	if (command->library)
		wall_add(rules, FILE_ACCESS_READ, true, "%s", command->library);
	return 0;
}

/* Whether `path` is `folder` or above it. */
static bool wall_holds(const char *path, const char *folder)
{
	_cleanup_(freep) char *real = realpath(path, NULL), *inner = realpath(folder, NULL);
	size_t len = real ? strlen(real) : 0;

	return real && inner && strncmp(real, inner, len) == 0 &&
	       (len == 1 || inner[len] == '/' || inner[len] == '\0');
}

/*
 * The build runs what stands in the project, with the user's rights: an application that could
 * write there would be out at the next build. So a folder with all of the project in it is for
 * reading, unless the user says otherwise.
 */
static void wall_add_dir(
	struct wall_rules *rules, const struct wall_config *config, const char *dir)
{
	int len = (int)(strstr(dir, "::") - dir);
	bool below = *dir != '/' && config->folder;
	char path[PATH_MAX], real[PATH_MAX];
	enum file_access access = FILE_ACCESS_WRITE;

	if (snprintf(path, sizeof path, "%s%s%.*s", below ? config->folder : "", below ? "/" : "",
		    len, dir) >= PATH_MAX)
		return;
	if (config->project && !config->writable && wall_holds(path, config->project))
		access = FILE_ACCESS_READ;
	else if (realpath(path, real) && run_given_leads_through(config->engine->module, real))
		rules->given = true;
	wall_add(rules, access, true, "%s", path);
}

static int wall_add_all(
	struct wall_rules *rules, const struct wall_config *config, char ret_why[APP_WHY_MAX])
{
	const struct engine_config *engine = config->engine;
	int r = wall_add_engine(rules, config->command, ret_why);

	if (r < 0)
		return r;
	if (config->project)
		wall_add(rules, config->writable ? FILE_ACCESS_WRITE : FILE_ACCESS_READ, false,
			"%s", config->project);
	for (size_t i = 0; i < engine->dirs->count; i++)
		wall_add_dir(rules, config, engine->dirs->items[i]);
	/* That one is gone the engine says itself, with an exit code of its own. */
	if (!config->again || !rules->given)
		wall_add(rules, FILE_ACCESS_READ, true, "%s", engine->module);
	if (engine->cache_dir)
		wall_add(rules, config->compiles ? FILE_ACCESS_WRITE : FILE_ACCESS_READ, false,
			"%s", engine->cache_dir);
	if (engine->empty_dir)
		wall_add(rules, FILE_ACCESS_READ, false, "%s", engine->empty_dir);
	if (!rules->full)
		return 0;
	snprintf(ret_why, APP_WHY_MAX, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

/* --- whether it will be --- */

#define CAPS_FILES ((1u << CAP_DAC_OVERRIDE) | (1u << CAP_DAC_READ_SEARCH))

/* Of the calling thread alone. Returns those that it had of the two. */
static uint32_t wall_set_caps(uint32_t drop, uint32_t add)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint32_t had;

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	had = data[0].effective & CAPS_FILES;
	if (!(had & drop) && !add)
		return had;
	data[0].effective = (data[0].effective & ~drop) | add;
	(void)syscall(SYS_capset, &header, data);
	return had;
}

/* The first path that only a privilege opens; NULL: there is none. */
static const char *wall_find_privileged(const struct wall_rules *rules)
{
	uint32_t had = wall_set_caps(CAPS_FILES, 0);
	const char *found = NULL;

	for (size_t i = 0; had && i < rules->count && !found; i++)
		if (faccessat(AT_FDCWD, rules->items[i].path, R_OK, AT_EACCESS) < 0 &&
			errno == EACCES)
			found = rules->items[i].path;
	if (had)
		(void)wall_set_caps(0, had);
	return found;
}

static int wall_explain(int r, const char *path, char ret_why[APP_WHY_MAX])
{
	char shown[SHOWN_MAX];

	if (path)
		snprintf(ret_why, APP_WHY_MAX, "can't let the application see '%s': %s",
			log_escape(shown, sizeof shown, path, strlen(path)), strerror(-r));
	else if (r == -EOPNOTSUPP)
		snprintf(ret_why, APP_WHY_MAX,
			"there is no Landlock here to keep the application from your files: %s; "
			"--no-isolation runs it without",
			file_rules_explain_none());
	else
		snprintf(ret_why, APP_WHY_MAX, "can't make the rules for its files: %s",
			strerror(-r));
	return r;
}

int wall_open(
	const struct wall_config *config, struct spawn_wall *ret_wall, char ret_why[APP_WHY_MAX])
{
	_cleanup_(wall_rules_clear) struct wall_rules rules = { 0 };
	const char *path = NULL;
	char shown[SHOWN_MAX];
	int r = wall_add_all(&rules, config, ret_why);

	if (r < 0)
		return r;
	r = filter_probe();
	if (r < 0)
		snprintf(ret_why, APP_WHY_MAX,
			"its system calls can't be filtered: seccomp(2) says "
			"'%s'. " WALL_FILTER_NEEDS "; --no-isolation runs it without",
			strerror(-r));
	if (r < 0)
		return r;
	*ret_wall = (struct spawn_wall){ .file_rules = -1,
		.filter.kind = config->command->sockets ? FILTER_ENGINE_SOCKETS : FILTER_ENGINE,
		.filter.refuse_truncation = file_rules_abi(wall_abi_max) < WALL_ABI_TRUNCATION };
	r = file_rules_open(rules.items, rules.count, wall_abi_max, &ret_wall->file_rules, &path);
	if (r < 0)
		return wall_explain(r, path, ret_why);
	path = wall_find_privileged(&rules);
	if (!path)
		return 0;
	snprintf(ret_why, APP_WHY_MAX,
		"'%s' is open to you by root's privileges alone, which the application doesn't "
		"have: run wasmrun as the user who owns it, or let others read it",
		log_escape(shown, sizeof shown, path, strlen(path)));
	ret_wall->file_rules = fd_close(ret_wall->file_rules);
	return -EACCES;
}
