/* SPDX-License-Identifier: MIT */
/* An instance sees nothing of our environment: what it is to know is in its command. */
#include "os/launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/build.h"
#include "app/plan.h"
#include "base/owner.h"
#include "base/log.h"
#include "os/engine_command.h"
#include "os/process.h"
#include "os/run_config.h"

/* Once: what a change makes of it is of the same kind. */
static void launcher_tell_cgi(struct launcher *l, const char *module)
{
	char hint[MODULE_HINT_MAX];

	if (!l->told_cgi)
		log_info("app", "%s",
			module_hint(module,
				SPAWN_LISTEN_FD + (unsigned)l->config.run->app.dirs.count, hint));
	l->told_cgi = true;
}

static int launcher_command(struct launcher *l, const char *module, struct engine_command *command,
	char ret_why[APP_WHY_MAX])
{
	const struct os_app_config *app = &l->config.run->app;
	enum app_interface interface = APP_LISTENER;
	int r = l->module_dir ? 0 : app_cache_dir("modules", &l->module_dir, ret_why);

	if (r == 0)
		r = module_check(module, &interface, ret_why);
	if (r < 0)
		return r;
	if (app->has_kind)
		interface = (enum app_interface)app->kind;
	else if (interface == APP_CGI)
		launcher_tell_cgi(l, module);
	l->kind = app_interface_words[interface];
	if (interface != APP_FILES && (app->fallback || app->headers.count)) {
		snprintf(ret_why, APP_WHY_MAX,
			"--fallback and --header are for a folder of files (static), not for '%s'",
			l->kind);
		return -EINVAL;
	}
	const struct engine_config config = {
		.interface = interface,
		.module = module,
		.guest_program = l->config.guest_program,
		.cache_dir = l->module_dir,
		.quick = l->config.run->watch,
		.dirs = &app->dirs,
		.env = &app->env,
		.fallback = app->fallback,
		.headers = &app->headers,
		.args = app->args.items,
		.arg_count = app->args.count,
		.listen_fd = SPAWN_LISTEN_FD,
		.status_fd = SPAWN_STATUS_FD,
		.addr = l->config.listen_addr,
		.request_timeout_ms = app->request_timeout_ms,
	};
	return engine_command_init(command, &config, ret_why);
}

int launcher_start(struct launcher *l, const struct app_plan *plan,
	const struct process_events *events, struct process **ret_process,
	char ret_why[APP_WHY_MAX])
{
	_cleanup_(engine_command_deinit) struct engine_command command = { 0 };
	int r;

	l->kind = NULL;
	r = launcher_command(l, app_plan_file(plan), &command, ret_why);
	if (r < 0)
		return r;
	const struct process_config config = {
		.spawn = {
			.argv = (const char *const *)command.argv.items,
			.env = (const char *const *)command.env.items,
			.dir = plan->folder,
			.listen_fd = l->config.listen_fd,
			.status = true,
			.open_files = l->config.open_files,
		},
		.out = LOG_STREAM_STDOUT,
		.err = LOG_STREAM_STDERR,
		.deadline_ms = l->config.start_timeout_ms,
		.drain_signal = ENGINE_DRAIN_SIGNAL,
		.ring = l->config.ring,
	};
	r = process_start(l->config.loop, &config, events, ret_process);
	if (r < 0)
		process_explain(&config.spawn, r, ret_why, APP_WHY_MAX);
	return r;
}

void launcher_deinit(struct launcher *l)
{
	free(take_ptr(l->module_dir));
}
