/* SPDX-License-Identifier: MIT */
/* `wasmrun new`: a folder with an example to begin with. Nothing that is there is written over. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/printable.h"
#include "cli/example.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"

static const struct kind {
	const char *example, *needs; /* what Debian 12 has no package for is told by the README */
} kinds[] = {
	{ "hello-c", "clang, lld, wasi-libc and libclang-rt-14-dev-wasm32 (Debian's packages)" },
	{ "counter-cgi",
		"clang, lld, wasi-libc and libclang-rt-14-dev-wasm32 (Debian's packages)" },
	{ "hello-go", "Go 1.21 or newer" },
	{ "hello-js", "Node 20 or newer with npm, and the command wasmtime" },
	{ "hello-python", "componentize-py, and the command wasmtime" },
	{ "hello-rust",
		"Rust 1.82 or newer with the target wasm32-wasip2, and the command wasmtime" },
	{ "static-site", NULL },
};

/* In the order of `kinds`. */
static const char *const words[] = { "c", "cgi", "go", "js", "python", "rust", "static", NULL };
static_assert(ARRAY_LEN(words) == ARRAY_LEN(kinds) + 1, "each word has its kind");

struct new_values {
	uint64_t kind; /* of `kinds` */
	const char *folder;
};

static const struct option_def new_options[] = {
	{ .name = "KIND",
		.type = OPTION_CHOICE,
		.positional = true,
		.required = true,
		.choices = words,
		.help = "What it is written in; 'cgi' is a program in C that runs once for each "
			"request, 'static' a folder of files",
		.offset = offsetof(struct new_values, kind) },
	{ .name = "DIR",
		.type = OPTION_FILE,
		.positional = true,
		.required = true,
		.help = "The folder to make; one that is there must be empty",
		.offset = offsetof(struct new_values, folder) },
	{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },
};

const struct option_table new_table = {
	.program = "wasmrun",
	.command = "new",
	.summary = "Make a folder with an example to begin with",
	.defs = new_options,
	.count = ARRAY_LEN(new_options),
};

/* 1 or 0, or negative errno. */
static int new_is_empty(int folder)
{
	_cleanup_(fd_closep) int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(fd_close_dirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	errno = 0;
	for (const struct dirent *entry; (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return 0;
	return errno ? -errno : 1;
}

/* The folder, made where it is missing; one that is not empty is ENOTEMPTY. */
static int new_open_folder(const char *path, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	int r;

	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = new_is_empty(fd);
	if (r <= 0)
		return r < 0 ? r : -ENOTEMPTY;
	*ret_fd = take_fd(&fd);
	return 0;
}

/*
 * The folder that a file is in: those of examples are at most one deep. Where others may write, one
 * of them may have put a link there meanwhile: it isn't followed.
 */
static int new_open_parent(int folder, const char *path, const char **ret_name)
{
	const char *slash = strchr(path, '/');
	char parent[NAME_MAX + 1] = ".";
	int fd;

	if (slash)
		snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
	if (slash && mkdirat(folder, parent, 0777) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(folder, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = slash ? slash + 1 : path;
	return fd;
}

static int new_write(int folder, const struct example_file *file)
{
	_cleanup_(fd_closep) int parent = -1, fd = -1;
	const char *name = file->path;

	parent = new_open_parent(folder, file->path, &name);
	if (parent < 0)
		return parent;
	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	return fd_write_full(fd, file->data, file->len);
}

static enum exit_code new_fail(const char *folder, const char *file, int error)
{
	if (error == -ENOTEMPTY)
		terminal_error("'%s' isn't empty, and nothing in it is written over: name a folder "
			       "that isn't there yet",
			folder);
	else
		terminal_error("'%s%s%s' can't be made: %s", folder, *file ? "/" : "", file,
			file_why(error));
	return EXIT_CODE_FILE;
}

/* As a shell reads it. */
static void new_write_word(const char *word)
{
	bool plain = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				  "._-/") == strlen(word);

	fputs(plain ? "" : "'", stdout);
	for (const char *end; (end = strchr(word, '\'')); word = end + 1) {
		(void)printable_write(stdout, word, (size_t)(end - word));
		fputs("'\\''", stdout);
	}
	(void)printable_write(stdout, word, strlen(word));
	fputs(plain ? "" : "'", stdout);
}

static void new_tell(const struct kind *kind, const char *folder)
{
	(void)printable_write(stdout, folder, strlen(folder));
	puts(": an example to begin with; README.md tells more");
	if (kind->needs)
		printf("It needs %s.\n", kind->needs);
	fputs("Run it:  wasmrun os -p ", stdout);
	new_write_word(folder);
	fputs("\nShow it: wasmrun os --expose -p ", stdout);
	new_write_word(folder);
	putchar('\n');
}

int cmd_new(const struct program *program, int argc, char **argv)
{
	struct new_values values = { 0 };
	_cleanup_(fd_closep) int folder = -1;
	struct option_set set;
	const struct kind *kind;
	int code, r;

	if (!usage_parse(&set, &new_table, &values, argc, argv, &code))
		return code;
	kind = &kinds[values.kind];
	r = new_open_folder(values.folder, &folder);
	if (r < 0)
		return new_fail(values.folder, "", r);
	for (const struct example_file *file = example_files; file->example; file++) {
		r = strcmp(file->example, kind->example) == 0 ? new_write(folder, file) : 0;
		if (r < 0)
			return new_fail(values.folder, file->path, r);
	}
	new_tell(kind, values.folder);
	return EXIT_CODE_OK;
}
