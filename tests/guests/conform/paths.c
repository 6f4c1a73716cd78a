/* SPDX-License-Identifier: MIT */
/* Names: making, opening, renaming, linking and removing, and the ways out that there must not be.
 */
#include "check.h"

#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW

static __wasi_filetype_t type_of(const char *path, __wasi_lookupflags_t flags)
{
	__wasi_filestat_t stat;

	return __wasi_path_filestat_get(DIR, flags, path, &stat) ? __WASI_FILETYPE_UNKNOWN
								 : stat.filetype;
}

static void check_making(void)
{
	__wasi_fd_t fd;

	make_file("file");
	GIVES(EXIST, open_at(DIR, "file", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, &fd));
	GIVES(NOTDIR, open_at(DIR, "file", __WASI_OFLAGS_DIRECTORY, &fd));
	GIVES(NOENT, open_at(DIR, "missing", 0, &fd));
	GIVES(NOENT, open_at(DIR, "missing/file", __WASI_OFLAGS_CREAT, &fd));
	GIVES(NOENT, open_at(DIR, "", 0, &fd));
	GIVES(SUCCESS, __wasi_path_create_directory(DIR, "dir"));
	GIVES(EXIST, __wasi_path_create_directory(DIR, "dir"));
	GIVES(EXIST, __wasi_path_create_directory(DIR, "file"));
	GIVES(SUCCESS, __wasi_path_create_directory(DIR, "dir/nested/"));
	CHECK(type_of("dir/nested", 0) == __WASI_FILETYPE_DIRECTORY);
	CHECK(type_of("dir/./nested/../nested//", 0) == __WASI_FILETYPE_DIRECTORY);
	CHECK(type_of("file", 0) == __WASI_FILETYPE_REGULAR_FILE);
	CHECK(type_of("file/", 0) == __WASI_FILETYPE_UNKNOWN);
	GIVES(SUCCESS, open_at(DIR, "dir", __WASI_OFLAGS_DIRECTORY, &fd));
	GIVES(SUCCESS, __wasi_path_create_directory(fd, "below"));
	GIVES(SUCCESS, __wasi_path_remove_directory(fd, "below"));
	GIVES(SUCCESS, __wasi_fd_close(fd));
	GIVES(BADF, __wasi_path_create_directory(fd, "below"));
}

/* Nothing outside the folder has a name. */
static void check_no_way_out(void)
{
	static const char *const ways[] = { "..", "../", "../outside", "dir/../..",
		"dir/../../outside", "./../outside", "/", "/etc/passwd",
		"dir/nested/../../../outside", "out", "out/passwd", "up/outside" };
	__wasi_fd_t fd;

	GIVES(SUCCESS, __wasi_path_symlink("../..", DIR, "dir/up"));
	GIVES(SUCCESS, __wasi_path_symlink("..", DIR, "up"));
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (__wasi_path_open(DIR, FOLLOW, ways[i], 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd) !=
				0 &&
			__wasi_path_open(DIR, FOLLOW, ways[i], __WASI_OFLAGS_DIRECTORY,
				__WASI_RIGHTS_FD_READDIR, 0, 0, &fd) != 0 &&
			type_of(ways[i], FOLLOW) == __WASI_FILETYPE_UNKNOWN)
			continue;
		printf("a way out: %s\n", ways[i]);
		failures++;
	}
	/* A link to an absolute path can't be made; what is outside can't come in, nor go out. */
	CHECK(__wasi_path_symlink("/etc", DIR, "out") != 0);
	CHECK(__wasi_path_rename(DIR, "file", DIR, "../file") != 0);
	CHECK(__wasi_path_rename(DIR, "../outside", DIR, "inside") != 0);
	CHECK(__wasi_path_link(DIR, 0, "../outside", DIR, "inside") != 0);
	CHECK(__wasi_path_unlink_file(DIR, "../outside") != 0);
	CHECK(__wasi_path_unlink_file(DIR, "up/outside") != 0);
	CHECK(__wasi_path_create_directory(DIR, "../made") != 0);
	CHECK(__wasi_path_create_directory(DIR, "dir/up/made") != 0);
	GIVES(SUCCESS, __wasi_path_unlink_file(DIR, "dir/up"));
	GIVES(SUCCESS, __wasi_path_unlink_file(DIR, "up"));
}

static void check_links(void)
{
	uint8_t text[8] = "";
	__wasi_filestat_t stat;
	__wasi_fd_t fd;
	size_t n;

	GIVES(SUCCESS, __wasi_path_symlink("file", DIR, "link"));
	GIVES(EXIST, __wasi_path_symlink("file", DIR, "link"));
	CHECK(type_of("link", 0) == __WASI_FILETYPE_SYMBOLIC_LINK);
	CHECK(type_of("link", FOLLOW) == __WASI_FILETYPE_REGULAR_FILE);
	GIVES(SUCCESS, __wasi_path_readlink(DIR, "link", text, sizeof(text), &n));
	CHECK(n == 4 && memcmp(text, "file", 4) == 0);
	GIVES(SUCCESS, __wasi_path_readlink(DIR, "link", text + 5, 2, &n));
	CHECK(n == 2 && memcmp(text + 5, "fi", 3) == 0);
	GIVES(INVAL, __wasi_path_readlink(DIR, "file", text, sizeof(text), &n));
	GIVES(LOOP, open_at(DIR, "link", 0, &fd));
	GIVES(SUCCESS, __wasi_path_open(DIR, FOLLOW, "link", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd));
	GIVES(SUCCESS, __wasi_fd_close(fd));
	GIVES(SUCCESS, __wasi_path_symlink("nothing", DIR, "dangling"));
	GIVES(NOENT,
		__wasi_path_open(DIR, FOLLOW, "dangling", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd));
	GIVES(SUCCESS, __wasi_path_symlink("loop", DIR, "loop"));
	GIVES(LOOP, __wasi_path_open(DIR, FOLLOW, "loop", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd));
	CHECK(__wasi_path_symlink("file", DIR, "slash/") != 0);
	GIVES(SUCCESS, __wasi_path_link(DIR, 0, "file", DIR, "second"));
	GIVES(SUCCESS, __wasi_path_filestat_get(DIR, 0, "second", &stat));
	CHECK(stat.nlink == 2);
	GIVES(EXIST, __wasi_path_link(DIR, 0, "file", DIR, "second"));
	GIVES(NOENT, __wasi_path_link(DIR, 0, "missing", DIR, "third"));
	CHECK(__wasi_path_link(DIR, 0, "dir", DIR, "third") != 0);
	GIVES(SUCCESS, __wasi_path_filestat_set_times(DIR, 0, "second", 5, 7,
			       __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
	GIVES(SUCCESS, __wasi_path_filestat_get(DIR, 0, "file", &stat));
	CHECK(stat.mtim == 7);
	for (size_t i = 0; i < 4; i++)
		GIVES(SUCCESS, __wasi_path_unlink_file(DIR, (const char *[]){ "link", "dangling",
								    "loop", "second" }[i]));
}

static void check_renaming(void)
{
	GIVES(SUCCESS, __wasi_path_rename(DIR, "file", DIR, "dir/moved"));
	GIVES(NOENT, __wasi_path_rename(DIR, "file", DIR, "other"));
	make_file("file");
	GIVES(SUCCESS, __wasi_path_rename(DIR, "dir/moved", DIR, "file"));
	CHECK(type_of("dir/moved", 0) == __WASI_FILETYPE_UNKNOWN);
	CHECK(__wasi_path_rename(DIR, "file", DIR, "dir") != 0);
	CHECK(__wasi_path_rename(DIR, "dir", DIR, "file") != 0);
	CHECK(__wasi_path_rename(DIR, "file", DIR, "other/") != 0);
	CHECK(__wasi_path_rename(DIR, "dir", DIR, "dir/nested/within") != 0);
	GIVES(SUCCESS, __wasi_path_rename(DIR, "dir/", DIR, "renamed/"));
	GIVES(SUCCESS, __wasi_path_create_directory(DIR, "dir"));
	GIVES(SUCCESS, __wasi_path_rename(DIR, "renamed", DIR, "dir"));
	GIVES(SUCCESS, __wasi_path_create_directory(DIR, "renamed"));
	GIVES(NOTEMPTY, __wasi_path_rename(DIR, "renamed", DIR, "dir"));
	GIVES(SUCCESS, __wasi_path_remove_directory(DIR, "renamed"));
}

static void check_removing(void)
{
	__wasi_fd_t fd;

	GIVES(NOTEMPTY, __wasi_path_remove_directory(DIR, "dir"));
	GIVES(NOTDIR, __wasi_path_remove_directory(DIR, "file"));
	CHECK(__wasi_path_unlink_file(DIR, "dir") != 0);
	CHECK(__wasi_path_unlink_file(DIR, "dir/") != 0);
	CHECK(__wasi_path_unlink_file(DIR, "file/") != 0);
	GIVES(NOENT, __wasi_path_unlink_file(DIR, "missing"));
	GIVES(NOENT, __wasi_path_remove_directory(DIR, "missing"));
	GIVES(SUCCESS, __wasi_path_remove_directory(DIR, "dir/nested"));
	/* A file without a name lives on as long as it is open. */
	GIVES(SUCCESS, open_at(DIR, "file", 0, &fd));
	GIVES(SUCCESS, __wasi_path_unlink_file(DIR, "file"));
	GIVES(SUCCESS, __wasi_fd_filestat_set_size(fd, 10));
	GIVES(SUCCESS, __wasi_fd_close(fd));
	GIVES(SUCCESS, open_at(DIR, "dir", __WASI_OFLAGS_DIRECTORY, &fd));
	GIVES(SUCCESS, __wasi_path_remove_directory(DIR, "dir"));
	CHECK(__wasi_path_create_directory(fd, "within") != 0);
	GIVES(SUCCESS, __wasi_fd_close(fd));
}

/* More descriptors than any small table has. */
static void check_many(void)
{
	static __wasi_fd_t fds[500];
	size_t n = sizeof(fds) / sizeof(*fds);

	make_file("many");
	for (size_t i = 0; i < n; i++)
		GIVES(SUCCESS, open_at(DIR, "many", 0, &fds[i]));
	for (size_t i = 0; i < n; i++)
		GIVES(SUCCESS, __wasi_fd_close(fds[i]));
	GIVES(SUCCESS, __wasi_path_unlink_file(DIR, "many"));
}

int main(void)
{
	check_making();
	check_no_way_out();
	check_links();
	check_renaming();
	check_removing();
	check_many();
	return end();
}
