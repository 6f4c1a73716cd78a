/* SPDX-License-Identifier: MIT */
/*
 * A file is written under a name of this process's own, and renamed when it is whole: several
 * processes may store the same module at the same time, and each finds a whole one. Its time of
 * modification is when it was last used; the ones that were not used for longest are dropped.
 */
#include "guest/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"

#define SHA256_LEN 32
#define SUFFIX ".cwasm"

int cache_open(struct cache *c, const char *path)
{
	_cleanup_(fd_closep) int dir = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	c->dir = take_fd(&dir);
	return 0;
}

void cache_close(struct cache *c)
{
	c->dir = fd_close(c->dir);
}

/*
 * The processor's abilities as the kernel lists them, which the compiled code may depend on. The
 * engine checks them once more; here they keep two machines with one home from taking turns.
 */
static void cache_hash_processor(EVP_MD_CTX *hash)
{
	struct utsname machine;
	char *line = NULL;
	size_t size = 0;
	FILE *cpuinfo;

	if (uname(&machine) == 0)
		EVP_DigestUpdate(hash, machine.machine, strlen(machine.machine));
	cpuinfo = fopen("/proc/cpuinfo", "re");
	while (cpuinfo && getline(&line, &size, cpuinfo) > 0) {
		if (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0)
			continue;
		EVP_DigestUpdate(hash, line, strlen(line));
		break;
	}
	if (cpuinfo)
		fclose(cpuinfo);
	free(line);
}

int cache_name(const uint8_t *module, size_t len, bool quick, char ret_name[CACHE_NAME_SIZE])
{
	uint8_t digest[SHA256_LEN];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	int ok;

	if (!hash)
		return -EIO;
	ok = EVP_DigestInit_ex(hash, EVP_sha256(), NULL) &&
	     EVP_DigestUpdate(hash, WASMTIME_VERSION, sizeof(WASMTIME_VERSION)) &&
	     EVP_DigestUpdate(hash, quick ? "winch" : "", quick ? 5 : 0);
	cache_hash_processor(hash);
	ok = ok && EVP_DigestUpdate(hash, module, len) && EVP_DigestFinal_ex(hash, digest, NULL);
	EVP_MD_CTX_free(hash);
	if (!ok)
		return -EIO;
	format_hex(digest, sizeof(digest), ret_name);
	memcpy(ret_name + 2 * sizeof(digest), SUFFIX, sizeof(SUFFIX));
	return 0;
}

int cache_touch(const struct cache *c, const char *name)
{
	return utimensat(c->dir, name, NULL, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* Drops the module that was not used for longest, when there are more than allowed. */
static bool cache_drop_oldest(const struct cache *c)
{
	char oldest[CACHE_NAME_SIZE] = "";
	struct timespec oldest_use = { 0 };
	const struct dirent *entry;
	unsigned n = 0;
	struct stat st;
	int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		fd_close(fd);
		return false;
	}
	while ((entry = readdir(dir))) {
		if (strlen(entry->d_name) != CACHE_NAME_SIZE - 1 ||
			fstatat(c->dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (n++ > 0 && (st.st_mtim.tv_sec > oldest_use.tv_sec ||
				       (st.st_mtim.tv_sec == oldest_use.tv_sec &&
					       st.st_mtim.tv_nsec >= oldest_use.tv_nsec)))
			continue;
		oldest_use = st.st_mtim;
		memcpy(oldest, entry->d_name, sizeof(oldest));
	}
	closedir(dir);
	return n > CACHE_MODULES_MAX && unlinkat(c->dir, oldest, 0) == 0;
}

int cache_store(const struct cache *c, const char *name, const void *data, size_t len)
{
	_cleanup_(fd_closep) int fd = -1;
	char partial[64];
	int r;

	(void)snprintf(partial, sizeof(partial), "partial.%ld", (long)getpid());
	fd = openat(c->dir, partial, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_full(fd, data, len);
	/* Or a crash of the machine leaves the name with half of the code behind it. */
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(c->dir, partial, c->dir, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(c->dir, partial, 0);
		return r;
	}
	while (cache_drop_oldest(c))
		log_debug("cache", "dropped a module that was not used for long");
	return 0;
}
