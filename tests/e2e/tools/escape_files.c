/* SPDX-License-Identifier: MIT */
/* The ways of escape.c that lead to a file. */
#include "escape.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FDS_MAX 1024

/* --- files --- */

static struct outcome try_open(char **words)
{
	int fd = open(words[1], (int)strtol(words[2], NULL, 0), 0600);

	if (fd >= 0)
		close(fd);
	return result("open", fd);
}

static struct outcome try_proc(char **words)
{
	char path[64], link[256];

	snprintf(path, sizeof path, "/proc/%d/%s", getppid(), words[1]);
	if (strcmp(words[2], "readlink") == 0)
		return result("readlink", readlink(path, link, sizeof link));
	return result("open", open(path, (int)strtol(words[2], NULL, 0)));
}

/* The code that the engine runs unseen, and where the next start finds it. */
static struct outcome try_code(char **words)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/%s", cache, words[1]);
	fd = open(path, (int)strtol(words[2], NULL, 0), 0600);
	if (fd >= 0)
		close(fd);
	return result("open", fd);
}

/* A call with the path in front of its other arguments. */
#define PATH_CALL(name, ...)                                                                  \
	static struct outcome try_##name(char **words)                                        \
	{                                                                                     \
		return result(#name, syscall(SYS_##name, AT_FDCWD, words[1], ##__VA_ARGS__)); \
	}
PATH_CALL(unlinkat, 0)
PATH_CALL(mkdirat, 0700)
PATH_CALL(fchmodat, 0777)
PATH_CALL(fchownat, -1, -1, 0)
PATH_CALL(mknodat, S_IFIFO | 0600, 0)
PATH_CALL(renameat, AT_FDCWD, words[2])
PATH_CALL(linkat, AT_FDCWD, words[2], 0)
PATH_CALL(utimensat, NULL, 0)
PATH_CALL(openat2, &(uint64_t[3]){ O_RDONLY | O_TRUNC }, 24)

static struct outcome try_truncate(char **words)
{
	return result("truncate", truncate(words[1], 0));
}

static struct outcome try_xattr(char **words)
{
	return result("setxattr", setxattr(words[1], "user.x", "x", 1, 0));
}

static struct outcome try_symlink(char **words)
{
	return result("symlinkat", syscall(SYS_symlinkat, words[2], AT_FDCWD, words[1]));
}
/*
 * O_PATH is no access, and Landlock isn't asked: a descriptor of any file, by HOW of which words[2]
 * is to be read, or to be called words[3].
 */
static struct outcome try_by_path(char **words)
{
	const char *how = words[1];
	int fd = open(words[2], O_PATH);
	char path[64];

	if (fd < 0)
		return failed("open");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (strcmp(how, "reopen") == 0)
		return result("open", open(path, O_RDONLY));
	if (strcmp(how, "below") == 0)
		return result("openat", openat(fd, words[3], O_RDONLY));
	if (strcmp(how, "truncate") == 0)
		return result("truncate", truncate(path, 0));
	if (strcmp(how, "link") == 0)
		return result("linkat", linkat(fd, "", AT_FDCWD, words[3], AT_EMPTY_PATH));
	return result("linkat", linkat(AT_FDCWD, path, AT_FDCWD, words[3], AT_SYMLINK_FOLLOW));
}

/* A link in a folder that is its own, to what isn't. */
static struct outcome try_through_link(char **words)
{
	if (symlink(words[2], words[1]) < 0)
		return failed("symlink");
	return result("open", open(words[1], O_RDONLY));
}

/* Another way to say rename(2): each gets the other's name. */
static struct outcome try_exchange(char **words)
{
	return result("renameat2",
		syscall(SYS_renameat2, AT_FDCWD, words[1], AT_FDCWD, words[2], 2 /* EXCHANGE */));
}

/* Of a file that it has open: who waits for such a lock, or is told of it, is another program. */
static struct outcome try_hold(char **words)
{
	int fd = open(words[2], O_RDONLY);
	struct flock lock = { .l_type = F_RDLCK };
	long r;

	if (fd < 0)
		return failed("open");
	if (strcmp(words[1], "flock") == 0)
		r = flock(fd, LOCK_EX | LOCK_NB);
	else if (strcmp(words[1], "lease") == 0)
		r = fcntl(fd, F_SETLEASE, F_RDLCK);
	else
		r = fcntl(fd, F_SETLK, &lock);
	close(fd);
	return result(words[1], r);
}

/* Code from a file of its own, which is no more than what it may do in any case. */
static struct outcome try_map_code(char **words)
{
	int fd = open(words[1], O_RDONLY);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	close(fd);
	return at == MAP_FAILED ? failed("mmap") : through();
}

/* How many descriptors it has that nobody gave it. */
static struct outcome try_descriptors(char **words)
{
	struct outcome o = { "descriptors", 0 };
	struct stat st;

	for (int fd = 3; fd < FDS_MAX; fd++)
		if (fd != listener && fd != status && fd != broker && fstat(fd, &st) == 0 &&
			!S_ISSOCK(st.st_mode)) /* the visitor who asks */
			o.error++;
	return o.error ? o : through();
}

const struct way file_ways[] = {
	{ "open", try_open },
	{ "openat2", try_openat2 },
	{ "proc", try_proc },
	{ "code", try_code },
	{ "truncate", try_truncate },
	{ "unlink", try_unlinkat },
	{ "mkdir", try_mkdirat },
	{ "chmod", try_fchmodat },
	{ "chown", try_fchownat },
	{ "xattr", try_xattr },
	{ "mknod", try_mknodat },
	{ "rename", try_renameat },
	{ "exchange", try_exchange },
	{ "link", try_linkat },
	{ "symlink", try_symlink },
	{ "through_link", try_through_link },
	{ "utimes", try_utimensat },
	{ "by_path", try_by_path },
	{ "hold", try_hold },
	{ "map_code", try_map_code },
	{ "descriptors", try_descriptors },
	{ NULL, NULL },
};
