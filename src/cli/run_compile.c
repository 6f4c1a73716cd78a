/* SPDX-License-Identifier: MIT */
#include "cli/run_compile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/printable.h"
#include "cli/exit_code.h"
#include "os/compile.h"
#include "os/engine_command.h"
#include "sandbox/spawn.h"

#define SAID_MAX 1024 /* on the status pipe, see os/child.h */

/* What the child says on its status pipe, and how it has ended. */
struct run_compiler {
	char said[SAID_MAX];
	int status;
	bool failed; /* it has never begun */
};

static int run_compiler_start(
	const struct compile *compile, struct spawn_child *ret_child, int *ret_said)
{
	struct spawn_config spawn = {
		.argv = (const char *const *)compile->run.argv.items,
		.env = (const char *const *)compile->run.env.items,
		.fds = compile->fds,
		.wall = compile->walled ? &compile->wall : NULL,
	};
	int pipe_fds[2], r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	spawn_fds_set(&spawn.fds, SPAWN_STATUS, pipe_fds[1]);
	spawn_fds_set(&spawn.fds, SPAWN_STDERR, STDERR_FILENO);
	r = spawn_start(&spawn, ret_child);
	fd_close(pipe_fds[1]);
	if (r < 0)
		fd_close(pipe_fds[0]);
	else
		*ret_said = pipe_fds[0];
	return r;
}

static int run_compiler_wait(const struct compile *compile, struct run_compiler *c)
{
	_cleanup_(fd_closep) int said = -1;
	struct spawn_failure failure;
	struct spawn_child child = { .pidfd = -1 };
	int r = run_compiler_start(compile, &child, &said);
	struct pollfd end = { .events = POLLIN };
	ssize_t n;

	if (r < 0)
		return r;
	end.fd = child.pidfd;
	n = fd_read_full(said, c->said, sizeof c->said - 1);
	c->said[n > 0 ? n : 0] = '\0';
	while ((r = spawn_reap(&child, &c->status, &failure)) == -EAGAIN)
		(void)poll(&end, 1, -1);
	c->failed = r == SPAWN_FAILED;
	spawn_close(&child);
	return 0;
}

/* wasmtime has said it already; what wasmrun-guest has to say goes to whoever has the pipe. */
static int run_compiler_refuse(const struct run_compiler *c)
{
	size_t len = strcspn(c->said, "\n");

	if (len > 0) {
		fputs("wasmrun-guest: ", stderr);
		(void)printable_write(stderr, c->said, len);
		fputc('\n', stderr);
	}
	return WIFEXITED(c->status) ? WEXITSTATUS(c->status) : EXIT_CODE_FAILED;
}

int run_compile(const struct engine_config *config, bool no_isolation, struct compile *compile)
{
	const struct compile_config what = {
		.project = config->module,
		.module = config->module,
		.guest_program = config->guest_program,
		.interface = config->interface,
		.no_isolation = no_isolation,
	};
	struct run_compiler compiler = { 0 };
	char why[APP_WHY_MAX];
	bool kept;
	int r;

	/* What is missing is missed again by what follows, and told there. */
	if (compile_prepare(compile, &what, why) < 0 || !compile->partial)
		return EXIT_CODE_OK;
	r = run_compiler_wait(compile, &compiler);
	kept = r == 0 && *compiler.said == '\n';
	compile_finish(compile, kept);
	if (r < 0)
		log_warn("run", "can't start the compiler: %s", strerror(-r));
	if (r < 0 || kept || compiler.failed ||
		(WIFEXITED(compiler.status) && WEXITSTATUS(compiler.status) == 0))
		return EXIT_CODE_OK;
	return run_compiler_refuse(&compiler);
}
