/* SPDX-License-Identifier: MIT */
/*
 * A run that only compiles (WASMRUN_COMPILE in the environment): not each wasmtime has a command
 * for that, but each keeps what it has compiled in its cache, before the first instruction of the
 * component. It writes to a file beside, and renames that when it is whole: there the run ends.
 *
 * Where it can't write it would go on without, to the component's start. That ends at the first
 * socket at the latest: nothing is served by a run that may write code.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/preload.h"

bool preload_compiles(void)
{
	return getenv("WASMRUN_COMPILE") != NULL;
}

/* Code is in "wasmtime/modules/VERSION/HASH", its statistics beside it (wasmtime's crates/cache).
 * All of that is below a folder "modules" of ours. */
static bool compile_is_code(const char *path)
{
	return strstr(path, "/wasmtime/modules/") && !strstr(path, ".stats");
}

PRELOAD_EXPORT int rename(const char *old, const char *new)
{
	int r = (int)syscall(SYS_renameat, AT_FDCWD, old, AT_FDCWD, new);

	if (r == 0 && preload_compiles() && compile_is_code(new)) {
		preload_tell(PRELOAD_LISTENING);
		_exit(EXIT_SUCCESS);
	}
	return r;
}

PRELOAD_EXPORT int socket(int domain, int type, int protocol)
{
	if (preload_compiles())
		_exit(EXIT_SUCCESS);
	return (int)syscall(SYS_socket, domain, type, protocol);
}
