/* SPDX-License-Identifier: MIT */
/* fd_readdir(): every entry once, whatever the size of the buffer, and on from any cookie. */
#include <stdlib.h>

#include "check.h"

#define FILES 50

struct entry {
	__wasi_dirent_t head;
	char name[32];
};

/* Reads from a cookie on with a buffer of size bytes. Returns the number of whole entries. */
static size_t read_some(__wasi_fd_t fd, __wasi_dircookie_t cookie, size_t size,
	struct entry *entries, size_t cap, size_t *ret_used)
{
	static uint8_t bytes[8192];
	size_t at = 0, n = 0;

	GIVES(SUCCESS, __wasi_fd_readdir(fd, bytes, size, cookie, ret_used));
	CHECK(*ret_used <= size);
	while (n < cap && at + sizeof(__wasi_dirent_t) <= *ret_used) {
		struct entry *e = &entries[n];

		memcpy(&e->head, bytes + at, sizeof(e->head));
		at += sizeof(e->head);
		if (e->head.d_namlen >= sizeof(e->name) || at + e->head.d_namlen > *ret_used)
			break;
		memcpy(e->name, bytes + at, e->head.d_namlen);
		e->name[e->head.d_namlen] = '\0';
		at += e->head.d_namlen;
		n++;
	}
	return n;
}

/* Counts how often each file is told, reading with buffers of the given size. */
static void check_all(__wasi_fd_t fd, size_t size)
{
	unsigned seen[FILES] = { 0 }, others = 0;
	__wasi_dircookie_t cookie = 0;
	struct entry entries[FILES + 4];
	size_t n, used;

	do {
		n = read_some(fd, cookie, size, entries, FILES + 4, &used);
		for (size_t i = 0; i < n; i++) {
			cookie = entries[i].head.d_next;
			if (entries[i].name[0] != 'f') {
				others++;
				CHECK(entries[i].head.d_type == __WASI_FILETYPE_DIRECTORY);
				continue;
			}
			CHECK(entries[i].head.d_type == __WASI_FILETYPE_REGULAR_FILE);
			seen[atoi(entries[i].name + 1)]++;
		}
	} while (n > 0 && used == size);
	for (unsigned i = 0; i < FILES; i++)
		CHECK(seen[i] == 1);
	CHECK(others == 3); /* ".", ".." and a folder */
}

/* The same from the middle on. */
static void check_cookie(__wasi_fd_t fd)
{
	struct entry all[FILES + 4], rest[FILES + 4];
	size_t used, n = read_some(fd, 0, 8192, all, FILES + 4, &used), half = n / 2;

	CHECK(n == FILES + 3);
	CHECK(read_some(fd, all[half].head.d_next, 8192, rest, FILES + 4, &used) == n - half - 1);
	for (size_t i = half + 1; i < n; i++)
		CHECK(strcmp(all[i].name, rest[i - half - 1].name) == 0 &&
			all[i].head.d_ino == rest[i - half - 1].head.d_ino);
	CHECK(read_some(fd, all[n - 1].head.d_next, 8192, rest, FILES + 4, &used) == 0 &&
		used == 0);
}

static void check_inode(__wasi_fd_t fd)
{
	struct entry all[FILES + 4];
	size_t used, n = read_some(fd, 0, 8192, all, FILES + 4, &used);
	__wasi_filestat_t stat;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].name, "..") == 0)
			continue;
		GIVES(SUCCESS, __wasi_path_filestat_get(fd, 0, all[i].name, &stat));
		CHECK(stat.ino == all[i].head.d_ino && stat.filetype == all[i].head.d_type);
	}
}

int main(void)
{
	__wasi_fd_t fd, file;
	uint8_t byte;
	char name[16];
	size_t n;

	GIVES(SUCCESS, __wasi_path_create_directory(DIR, "list"));
	GIVES(SUCCESS, __wasi_path_create_directory(DIR, "list/dir"));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "list/f%d", i);
		make_file(name);
	}
	GIVES(SUCCESS, open_at(DIR, "list", __WASI_OFLAGS_DIRECTORY, &fd));
	check_all(fd, 8192);
	check_all(fd, 256);
	check_all(fd, sizeof(__wasi_dirent_t) + 4);
	check_cookie(fd);
	check_inode(fd);
	GIVES(SUCCESS, open_at(fd, "f0", 0, &file));
	CHECK(__wasi_fd_readdir(file, &byte, 1, 0, &n) != 0);
	GIVES(SUCCESS, __wasi_fd_close(file));
	GIVES(SUCCESS, __wasi_fd_close(fd));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "list/f%d", i);
		GIVES(SUCCESS, __wasi_path_unlink_file(DIR, name));
	}
	GIVES(SUCCESS, __wasi_path_remove_directory(DIR, "list/dir"));
	GIVES(SUCCESS, __wasi_path_remove_directory(DIR, "list"));
	return end();
}
