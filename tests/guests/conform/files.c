/* SPDX-License-Identifier: MIT */
/* Descriptors of files: reading, writing, places, sizes, times, flags, numbers. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define PATH "file"

static __wasi_fd_t open_file(__wasi_oflags_t flags)
{
	__wasi_fd_t fd = 0;

	GIVES(SUCCESS, open_at(DIR, PATH, flags, &fd));
	return fd;
}

static __wasi_filesize_t size_of(__wasi_fd_t fd)
{
	__wasi_filestat_t stat = { 0 };

	GIVES(SUCCESS, __wasi_fd_filestat_get(fd, &stat));
	CHECK(stat.filetype == __WASI_FILETYPE_REGULAR_FILE && stat.nlink == 1);
	return stat.size;
}

static void check_moving(void)
{
	__wasi_fd_t fd = open_file(__WASI_OFLAGS_CREAT | __WASI_OFLAGS_TRUNC);
	char in[16] = "";
	const __wasi_ciovec_t out[2] = { { (uint8_t *)"abc", 3 }, { (uint8_t *)"defg", 4 } };
	const __wasi_iovec_t into = { (uint8_t *)in, 8 }, two = { (uint8_t *)in, 2 };
	__wasi_filesize_t at;
	size_t n;

	/* A call may move less than it was given. */
	GIVES(SUCCESS, __wasi_fd_write(fd, out, 2, &n));
	CHECK(n == 3 || n == 7);
	if (n == 3)
		GIVES(SUCCESS, __wasi_fd_write(fd, out + 1, 1, &n));
	GIVES(SUCCESS, __wasi_fd_tell(fd, &at));
	CHECK(at == 7);
	GIVES(SUCCESS, __wasi_fd_pread(fd, &into, 1, 1, &n));
	CHECK(n == 6 && strcmp(in, "bcdefg") == 0);
	GIVES(SUCCESS, __wasi_fd_pread(fd, &into, 1, 7, &n));
	CHECK(n == 0);
	GIVES(SUCCESS, __wasi_fd_pwrite(fd, out, 1, 5, &n));
	GIVES(SUCCESS, __wasi_fd_tell(fd, &at));
	CHECK(n == 3 && at == 7 && size_of(fd) == 8);
	GIVES(SUCCESS, __wasi_fd_seek(fd, -2, __WASI_WHENCE_END, &at));
	CHECK(at == 6);
	GIVES(SUCCESS, __wasi_fd_seek(fd, -6, __WASI_WHENCE_CUR, &at));
	GIVES(SUCCESS, __wasi_fd_read(fd, &two, 1, &n));
	CHECK(at == 0 && n == 2 && memcmp(in, "ab", 2) == 0);
	GIVES(INVAL, __wasi_fd_seek(fd, -1, __WASI_WHENCE_SET, &at));
	GIVES(SUCCESS, __wasi_fd_seek(fd, 100, __WASI_WHENCE_SET, &at));
	GIVES(SUCCESS, __wasi_fd_read(fd, &into, 1, &n));
	CHECK(n == 0 && size_of(fd) == 8);
	GIVES(SUCCESS, __wasi_fd_close(fd));
	GIVES(BADF, __wasi_fd_read(fd, &into, 1, &n));
}

static void check_sizes(void)
{
	__wasi_fd_t fd = open_file(__WASI_OFLAGS_TRUNC);

	CHECK(size_of(fd) == 0);
	GIVES(SUCCESS, __wasi_fd_filestat_set_size(fd, 100));
	CHECK(size_of(fd) == 100);
	GIVES(SUCCESS, __wasi_fd_filestat_set_size(fd, 10));
	CHECK(size_of(fd) == 10);
	GIVES(SUCCESS, __wasi_fd_advise(fd, 0, 10, __WASI_ADVICE_WILLNEED));
	GIVES(SUCCESS, __wasi_fd_sync(fd));
	GIVES(SUCCESS, __wasi_fd_datasync(fd));
	/* Not every host can, but none may shrink the file. */
	if (__wasi_fd_allocate(fd, 0, 50) == 0)
		CHECK(size_of(fd) == 50);
	(void)__wasi_fd_allocate(fd, 0, 5);
	CHECK(size_of(fd) >= 10);
	GIVES(SUCCESS, __wasi_fd_close(fd));
}

static void check_times(void)
{
	__wasi_fd_t fd = open_file(0);
	__wasi_filestat_t stat;

	GIVES(SUCCESS, __wasi_fd_filestat_set_times(fd, 1000000000, 2000000000,
			       __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
	GIVES(SUCCESS, __wasi_fd_filestat_get(fd, &stat));
	CHECK(stat.atim == 1000000000 && stat.mtim == 2000000000);
	GIVES(SUCCESS, __wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM_NOW));
	GIVES(SUCCESS, __wasi_fd_filestat_get(fd, &stat));
	CHECK(stat.atim == 1000000000 && stat.mtim > 1700000000ull * 1000000000);
	GIVES(INVAL, __wasi_fd_filestat_set_times(
			     fd, 0, 0, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW));
	GIVES(SUCCESS, __wasi_fd_close(fd));
}

static void check_append(void)
{
	const __wasi_ciovec_t out = { (uint8_t *)"xy", 2 };
	__wasi_fd_t fd = open_file(__WASI_OFLAGS_TRUNC);
	__wasi_fdstat_t stat;
	__wasi_filesize_t at;
	size_t n;

	GIVES(SUCCESS, __wasi_fd_write(fd, &out, 1, &n));
	GIVES(SUCCESS, __wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND));
	GIVES(SUCCESS, __wasi_fd_fdstat_get(fd, &stat));
	CHECK(stat.fs_flags == __WASI_FDFLAGS_APPEND);
	GIVES(SUCCESS, __wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at));
	GIVES(SUCCESS, __wasi_fd_write(fd, &out, 1, &n));
	CHECK(size_of(fd) == 4);
	GIVES(SUCCESS, __wasi_fd_fdstat_set_flags(fd, 0));
	GIVES(SUCCESS, __wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at));
	GIVES(SUCCESS, __wasi_fd_write(fd, &out, 1, &n));
	CHECK(size_of(fd) == 4);
	GIVES(SUCCESS, __wasi_fd_close(fd));
}

/* A file that was opened to be read can't be written, and the other way round. */
static void check_directions(void)
{
	const __wasi_ciovec_t out = { (uint8_t *)"xy", 2 };
	uint8_t bytes[4];
	const __wasi_iovec_t in = { bytes, sizeof(bytes) };
	__wasi_fd_t fd;
	size_t n;

	GIVES(SUCCESS, __wasi_path_open(DIR, 0, PATH, 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd));
	CHECK(__wasi_fd_write(fd, &out, 1, &n) != 0);
	CHECK(__wasi_fd_filestat_set_size(fd, 1) != 0);
	GIVES(SUCCESS, __wasi_fd_close(fd));
	GIVES(SUCCESS, __wasi_path_open(DIR, 0, PATH, 0, __WASI_RIGHTS_FD_WRITE, 0, 0, &fd));
	CHECK(__wasi_fd_read(fd, &in, 1, &n) != 0);
	GIVES(SUCCESS, __wasi_fd_close(fd));
}

static void check_numbers(void)
{
	__wasi_fd_t first = open_file(0), second = open_file(0), third;
	__wasi_filesize_t at;
	__wasi_prestat_t prestat;
	char name[2] = "";

	CHECK(first != second);
	GIVES(SUCCESS, __wasi_fd_seek(first, 3, __WASI_WHENCE_SET, &at));
	GIVES(SUCCESS, __wasi_fd_renumber(first, second));
	GIVES(BADF, __wasi_fd_tell(first, &at));
	GIVES(SUCCESS, __wasi_fd_tell(second, &at));
	CHECK(at == 3);
	GIVES(BADF, __wasi_fd_renumber(99, second));
	GIVES(SUCCESS, __wasi_fd_renumber(second, second));
	GIVES(SUCCESS, __wasi_fd_close(second));
	GIVES(BADF, __wasi_fd_close(second));
	/* A number that is free is given again, and none of those that are taken. */
	third = open_file(0);
	CHECK(third > DIR && third <= second);
	GIVES(SUCCESS, __wasi_fd_close(third));
	GIVES(SUCCESS, __wasi_fd_prestat_get(DIR, &prestat));
	CHECK(prestat.u.dir.pr_name_len == 1);
	GIVES(SUCCESS, __wasi_fd_prestat_dir_name(DIR, (uint8_t *)name, 1));
	CHECK(strcmp(name, "/") == 0);
	GIVES(BADF, __wasi_fd_prestat_get(DIR + 1, &prestat));
}

/* A folder has no bytes. */
static void check_folder(void)
{
	uint8_t bytes[4];
	const __wasi_iovec_t in = { bytes, sizeof(bytes) };
	const __wasi_ciovec_t out = { bytes, sizeof(bytes) };
	__wasi_filesize_t at;
	__wasi_filestat_t stat;
	size_t n;

	CHECK(__wasi_fd_read(DIR, &in, 1, &n) != 0);
	CHECK(__wasi_fd_write(DIR, &out, 1, &n) != 0);
	CHECK(__wasi_fd_pread(DIR, &in, 1, 0, &n) != 0);
	CHECK(__wasi_fd_seek(DIR, 0, __WASI_WHENCE_SET, &at) != 0);
	CHECK(__wasi_fd_allocate(DIR, 0, 1) != 0);
	CHECK(__wasi_fd_filestat_set_size(DIR, 0) != 0);
	GIVES(SUCCESS, __wasi_fd_filestat_get(DIR, &stat));
	CHECK(stat.filetype == __WASI_FILETYPE_DIRECTORY);
}

int main(void)
{
	check_moving();
	check_sizes();
	check_times();
	check_append();
	check_directions();
	check_numbers();
	check_folder();
	GIVES(SUCCESS, __wasi_path_unlink_file(DIR, PATH));
	return end();
}
