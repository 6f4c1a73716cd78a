/* SPDX-License-Identifier: MIT */
#include "os/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/cache_dir.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/owner.h"
#include "conf/option.h"
#include "os/code_cache.h"
#include "os/wall.h"

static int compile_build_wall(
	struct compile *c, const struct engine_config *engine, char ret_why[APP_WHY_MAX])
{
	const struct wall_config wall = { .engine = engine, .command = &c->run, .compiles = true };
	int r = wall_open(&wall, &c->wall, ret_why);

	c->walled = r == 0;
	return r;
}

int compile_prepare(
	struct compile *c, const struct compile_config *config, char ret_why[APP_WHY_MAX])
{
	const struct option_list none = { 0 };
	struct engine_config engine = {
		.interface = config->interface,
		.module = config->module,
		.guest_program = config->guest_program,
		.quick = config->quick,
		.compile = true,
		.dirs = &none,
		.env = &none,
		.listen_fd = -1,
		.broker_fd = -1,
		.addr = "127.0.0.1:0",
	};
	int r;

	*c = (struct compile){ 0 };
	if (config->interface == APP_FILES)
		return 0;
	engine.status_fd = spawn_fds_set(&c->fds, SPAWN_STATUS, -1);
	r = engine_command_init(&c->key, &engine, ret_why);
	if (r < 0)
		return r;
	r = code_cache_find(config->project, (const char *const *)c->key.argv.items, &c->entry,
		&c->partial, ret_why);
	if (r < 0)
		log_warn("cache", "%s: the module is compiled each time", ret_why);
	if (r != CODE_CACHE_MISS)
		return 0;
	engine.cache_dir = c->partial;
	r = engine_command_init(&c->run, &engine, ret_why);
	return r == 0 && !config->no_isolation ? compile_build_wall(c, &engine, ret_why) : r;
}

void compile_finish(struct compile *c, bool kept)
{
	int r = 0;

	if (kept)
		r = code_cache_keep(c->partial, c->entry, (const char *const *)c->key.argv.items);
	else
		cache_dir_remove(c->partial);
	if (r < 0 && r != -ESTALE)
		log_warn("cache", "the compiled module can't be kept: %s", strerror(-r));
	if (r < 0 || !kept)
		free(take_ptr(c->entry));
	free(take_ptr(c->partial));
}

void compile_deinit(struct compile *c)
{
	engine_command_deinit(&c->key);
	engine_command_deinit(&c->run);
	if (c->walled)
		c->wall.file_rules = fd_close(c->wall.file_rules);
	c->walled = false;
	free(take_ptr(c->entry));
	free(take_ptr(c->partial));
}
