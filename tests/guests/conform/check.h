/* SPDX-License-Identifier: MIT */
/* What the programs here share: they say what failed, and end with the number of failures. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>
#include <wasi/api.h>

static int failures;

#define CHECK(what)                                                      \
	do {                                                             \
		if (!(what)) {                                           \
			printf("line %d failed: %s\n", __LINE__, #what); \
			failures++;                                      \
		}                                                        \
	} while (0)

/* A call that must fail, or not (SUCCESS), with the given code. */
#define GIVES(code, call)                                                                    \
	do {                                                                                 \
		__wasi_errno_t got_ = (call);                                                \
		if (got_ != __WASI_ERRNO_##code) {                                           \
			printf("line %d: %s is %d, not " #code "\n", __LINE__, #call, got_); \
			failures++;                                                          \
		}                                                                            \
	} while (0)

/* The folder that the test gives, as the first descriptor. */
#define DIR 3

static inline __wasi_errno_t open_at(
	__wasi_fd_t dir, const char *path, __wasi_oflags_t flags, __wasi_fd_t *fd)
{
	__wasi_rights_t rights = flags & __WASI_OFLAGS_DIRECTORY
					 ? __WASI_RIGHTS_FD_READDIR | __WASI_RIGHTS_PATH_OPEN
					 : __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE |
						   __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL;

	return __wasi_path_open(dir, 0, path, flags, rights, rights, 0, fd);
}

/* An empty file. */
static inline void make_file(const char *path)
{
	__wasi_fd_t fd;

	GIVES(SUCCESS, open_at(DIR, path, __WASI_OFLAGS_CREAT, &fd));
	GIVES(SUCCESS, __wasi_fd_close(fd));
}

static inline int end(void)
{
	puts(failures ? "FAILED" : "passed");
	return failures != 0;
}

#endif
