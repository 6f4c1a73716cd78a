/* SPDX-License-Identifier: MIT */
#include "os/engine_program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cache_dir.h"
#include "app/program_path.h"
#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "sandbox/spawn.h"

#define SHOWN_MAX 192 /* of a path in a message */
#define SEGMENTS_MAX 64
#define LINE_MAX_ASKED 128

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

/* At most SEGMENTS_MAX. A count, or a negative errno. */
static int program_segments(int fd, Elf64_Phdr ret_segments[SEGMENTS_MAX])
{
	Elf64_Ehdr header;
	size_t size = sizeof *ret_segments;

	if (pread(fd, &header, sizeof header, 0) != sizeof header ||
		memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
		header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != size ||
		header.e_phnum > SEGMENTS_MAX ||
		pread(fd, ret_segments, header.e_phnum * size, (off_t)header.e_phoff) !=
			(ssize_t)(header.e_phnum * size))
		return -ENOEXEC;
	return header.e_phnum;
}

int engine_interpreter(const char *path, char **ret_path)
{
	_cleanup_(fd_closep) int fd = -1;
	Elf64_Phdr segments[SEGMENTS_MAX];
	char name[PATH_MAX];
	int count, r = file_open(path, O_RDONLY, 0, FILE_ALONE, &fd);

	if (r < 0)
		return r;
	count = program_segments(fd, segments);
	*ret_path = NULL;
	for (int i = 0; i < count; i++) {
		size_t len = segments[i].p_filesz;

		if (segments[i].p_type != PT_INTERP)
			continue;
		if (len == 0 || len > sizeof name ||
			pread(fd, name, len, (off_t)segments[i].p_offset) != (ssize_t)len ||
			name[len - 1] != '\0')
			return -ENOEXEC;
		*ret_path = strdup(name);
		return *ret_path ? 0 : -ENOMEM;
	}
	return count < 0 ? count : 0;
}

/* The first line that the program says, in time; "": it says nothing. */
static void wasmtime_ask(const char *path, char ret_line[LINE_MAX_ASKED])
{
	const char *const argv[] = { path, "--version", NULL };
	uint64_t deadline_ms = clock_now_ms() + WASMTIME_ASK_MS;
	struct spawn_config config = { .argv = argv };
	_cleanup_(fd_closep) int out = -1;
	struct spawn_child child;
	size_t len = 0;
	int fds[2], r;

	memset(ret_line, 0, LINE_MAX_ASKED);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	out = fds[0];
	spawn_fds_set(&config.fds, SPAWN_STDOUT, fds[1]);
	r = spawn_start(&config, &child);
	fd_close(fds[1]);
	if (r < 0)
		return;
	while (len < LINE_MAX_ASKED - 1 && !memchr(ret_line, '\n', len)) {
		struct pollfd readable = { .fd = out, .events = POLLIN };
		uint64_t now_ms = clock_now_ms();
		ssize_t n =
			now_ms < deadline_ms ? poll(&readable, 1, (int)(deadline_ms - now_ms)) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0)
			n = read(out, ret_line + len, LINE_MAX_ASKED - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	ret_line[len] = '\0';
	spawn_abandon(&child);
}

static bool wasmtime_is_new_enough(const char *line)
{
	static const char name[] = "wasmtime ";

	if (strncmp(line, name, strlen(name)) != 0)
		return false;
	line += strlen(name);
	if (strncmp(line, WASMTIME_BROKEN, strlen(WASMTIME_BROKEN)) == 0 &&
		strchr(" \n", line[strlen(WASMTIME_BROKEN)]))
		return false;
	return strtoul(line, NULL, 10) >= strtoul(WASMTIME_OLDEST_MAJOR, NULL, 10);
}

/* What has answered last. One file is all that a user has on PATH. */
static struct {
	pthread_mutex_t lock;
	char path[PATH_MAX];
	struct stat st;
	bool good;
} asked = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool wasmtime_is_good(const char *path)
{
	struct stat st;
	bool good;

	if (stat(path, &st) < 0)
		return false;
	(void)pthread_mutex_lock(&asked.lock);
	if (strcmp(asked.path, path) != 0 || asked.st.st_dev != st.st_dev ||
		asked.st.st_ino != st.st_ino || asked.st.st_size != st.st_size ||
		asked.st.st_mtim.tv_sec != st.st_mtim.tv_sec ||
		asked.st.st_mtim.tv_nsec != st.st_mtim.tv_nsec) {
		char line[LINE_MAX_ASKED];

		wasmtime_ask(path, line);
		asked.good = wasmtime_is_new_enough(line);
		asked.st = st;
		/* Who was silent is asked again: the machine may have been too busy. */
		(void)snprintf(asked.path, sizeof asked.path, "%s", *line ? path : "");
	}
	good = asked.good;
	(void)pthread_mutex_unlock(&asked.lock);
	return good;
}

/* A script may lead anywhere. */
static bool program_is_static(const char *path)
{
	char *interpreter = NULL;
	bool is_static = engine_interpreter(path, &interpreter) == 0 && !interpreter;

	free(interpreter);
	return is_static;
}

int wasmtime_find(char **ret_path, char ret_why[APP_WHY_MAX])
{
	char path[PATH_MAX], own[SHOWN_MAX] = "wasmtime", shown[SHOWN_MAX];
	const char *cause = "is not on PATH";
	char *built;
	int r;

	if (program_path_find("wasmtime", path) && *path == '/') {
		log_escape(own, sizeof own, path, strlen(path));
		cause = program_is_static(path)  ? "is statically linked, and can't be sealed"
			: wasmtime_is_good(path) ? NULL
						 : "is older";
	}
	if (!cause) {
		*ret_path = strdup(path);
		return *ret_path ? 0 : -ENOMEM;
	}
	r = cache_dir_path("wasmtime-cli-" WASMTIME_BUILT "/bin/wasmtime", &built, ret_why);
	if (r < 0)
		return r;
	if (access(built, X_OK) == 0 && !program_is_static(built)) {
		*ret_path = built;
		return 0;
	}
	snprintf(ret_why, APP_WHY_MAX,
		"a component needs the command wasmtime, version " WASMTIME_OLDEST
		" or newer, and '%s' %s: the installer of wasmtime.dev brings it in a "
		"minute, or script/setup --components builds it in half an hour, as '%s'",
		own, cause, log_escape(shown, sizeof shown, built, strlen(built)));
	free(built);
	return -ENOENT;
}
