/* SPDX-License-Identifier: MIT */
/*
 * Only looks at files. wasmtime tells its version when it is started, so that is left to the child
 * that is to become it (engine_command.c).
 */
#include "os/engine_program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cache_dir.h"
#include "app/program_path.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"

#define SHOWN_MAX 192 /* of a path in a message */
#define SEGMENTS_MAX 64

int engine_file_find(const char *name, char **ret_path, char ret_why[APP_WHY_MAX])
{
	static const char *const places[] = { "", WASMRUN_GUEST_DIR "/" };
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
	int r = n < 0 ? -errno : -ENOENT;
	char *path;

	own[n < 0 ? 0 : n] = '\0';
	for (size_t i = 0; n >= 0 && i < ARRAY_LEN(places); i++) {
		const int folder_len = (int)(strrchr(own, '/') - own);

		if (asprintf(&path, "%.*s/%s%s", folder_len, own, places[i], name) < 0)
			return -ENOMEM;
		if (access(path, R_OK) == 0) {
			*ret_path = path;
			return 0;
		}
		free(path);
	}
	snprintf(ret_why, APP_WHY_MAX,
		"can't find %s: %s; it is built by script/setup-engine and script/build, and "
		"belongs beside this program",
		name, strerror(-r));
	return r;
}

/* An ELF program that names no interpreter (elf(5), PT_INTERP). A script may lead anywhere. */
static bool wasmtime_is_static(const char *path)
{
	_cleanup_(fd_closep) int fd = -1;
	Elf64_Phdr segments[SEGMENTS_MAX];
	Elf64_Ehdr header;
	ssize_t n;

	if (file_open(path, O_RDONLY, 0, FILE_ALONE, &fd) < 0 ||
		pread(fd, &header, sizeof header, 0) != sizeof header ||
		memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
		header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof *segments)
		return false;
	n = pread(fd, segments, sizeof segments, (off_t)header.e_phoff);
	for (size_t i = 0; i < header.e_phnum && (ssize_t)((i + 1) * sizeof *segments) <= n; i++)
		if (segments[i].p_type == PT_INTERP)
			return false;
	return true;
}

int wasmtime_find(bool dynamic, struct wasmtime_programs *ret_programs, char ret_why[APP_WHY_MAX])
{
	struct wasmtime_programs *p = ret_programs;
	char path[PATH_MAX], own[SHOWN_MAX], built[SHOWN_MAX];
	const char *cause = "is older";
	int r;

	*p = (struct wasmtime_programs){ 0 };
	r = cache_dir_path("wasmtime-cli-" WASMTIME_BUILT "/bin/wasmtime", &p->built, ret_why);
	if (r < 0)
		return r;
	log_escape(built, sizeof built, p->built, strlen(p->built));
	if (access(p->built, X_OK) < 0) {
		free(p->built);
		p->built = NULL;
	}
	if (!program_path_find("wasmtime", path) || *path != '/') {
		snprintf(own, sizeof own, "wasmtime");
		cause = "is not on PATH";
	} else if (log_escape(own, sizeof own, path, strlen(path)) && dynamic &&
		   wasmtime_is_static(path)) {
		cause = "is statically linked, and can't be given a socket";
	} else if (!(p->own = strdup(path))) {
		return -ENOMEM;
	}
	if (asprintf(&p->needs,
		    "a component needs the command wasmtime, version " WASMTIME_OLDEST
		    " or newer, and '%s' %s: the installer of wasmtime.dev brings it in a "
		    "minute, or script/setup --components builds it in half an hour, as '%s'",
		    own, cause, built) < 0) {
		p->needs = NULL;
		return -ENOMEM;
	}
	snprintf(ret_why, APP_WHY_MAX, "%s", p->needs);
	return p->own || p->built ? 0 : -ENOENT;
}

void wasmtime_programs_clear(struct wasmtime_programs *programs)
{
	free(programs->own);
	free(programs->built);
	free(programs->needs);
	*programs = (struct wasmtime_programs){ 0 };
}
