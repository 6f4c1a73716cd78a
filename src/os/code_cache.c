/* SPDX-License-Identifier: MIT */
/*
 * A folder's time of modification is when it was last used: an entry's says which go first, a
 * project's when all of it goes (app/build_cache.h).
 */
#include "os/code_cache.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "app/build_cache.h"
#include "app/cache_dir.h"
#include "app/module.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"

#define DIGEST_LEN 32 /* of SHA-256 */
#define NAME_SIZE (2 * DIGEST_LEN + 1)
#define SHOWN_MAX 256 /* of a path in a message */
#define PARTIAL "partial."
#define PARTIAL_AGE_S 3600 /* whoever was to fill it has crashed: a run has less time */

static EVP_MD_CTX *hash_begin(void)
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();

	if (hash && !EVP_DigestInit_ex(hash, EVP_sha256(), NULL)) {
		EVP_MD_CTX_free(hash);
		return NULL;
	}
	return hash;
}

static void hash_free(EVP_MD_CTX **hash)
{
	EVP_MD_CTX_free(*hash);
}

static void hash_text(EVP_MD_CTX *hash, const char *text)
{
	EVP_DigestUpdate(hash, text, strlen(text) + 1);
}

/*
 * The processor's abilities as the kernel lists them, which the compiled code may depend on. The
 * engine checks them once more; here they keep two machines with one home from taking turns.
 */
static void hash_processor(EVP_MD_CTX *hash)
{
	struct utsname machine;
	char *line = NULL;
	size_t size = 0;
	FILE *cpuinfo;

	if (uname(&machine) == 0)
		hash_text(hash, machine.machine);
	cpuinfo = fopen("/proc/cpuinfo", "re");
	while (cpuinfo && getline(&line, &size, cpuinfo) > 0) {
		if (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0)
			continue;
		hash_text(hash, line);
		break;
	}
	if (cpuinfo)
		fclose(cpuinfo);
	free(line);
}

/* The words, and of those that are files which one: another version of an engine is another file.
 */
static void hash_command(EVP_MD_CTX *hash, const char *const *argv)
{
	struct stat st;

	for (; argv[1]; argv++) {
		hash_text(hash, *argv);
		if (**argv != '/' || stat(*argv, &st) < 0)
			continue;
		EVP_DigestUpdate(hash, &st.st_size, sizeof st.st_size);
		EVP_DigestUpdate(hash, &st.st_mtim.tv_sec, sizeof st.st_mtim.tv_sec);
		EVP_DigestUpdate(hash, &st.st_mtim.tv_nsec, sizeof st.st_mtim.tv_nsec);
	}
}

static int hash_file(EVP_MD_CTX *hash, const char *path)
{
	_cleanup_(fd_closep) int fd = -1;
	char bytes[1 << 16];
	uint64_t size;
	ssize_t n = 0;
	int r = file_open_limited(path, MODULE_SIZE_MAX, &fd, &size);

	while (r == 0 && (n = fd_read_full(fd, bytes, sizeof bytes)) > 0)
		EVP_DigestUpdate(hash, bytes, (size_t)n);
	return r < 0 ? r : (int)n;
}

static int hash_end(EVP_MD_CTX *hash, char ret_name[NAME_SIZE])
{
	uint8_t digest[DIGEST_LEN];

	if (!EVP_DigestFinal_ex(hash, digest, NULL))
		return -EIO;
	format_hex(digest, sizeof digest, ret_name);
	return 0;
}

static int code_cache_name(const char *const *argv, char ret_name[NAME_SIZE])
{
	_cleanup_(hash_free) EVP_MD_CTX *hash = hash_begin();
	size_t words = 0;
	int r;

	if (!hash)
		return -ENOMEM;
	while (argv[words])
		words++;
	assert(words > 0);
	hash_command(hash, argv);
	hash_processor(hash);
	r = hash_file(hash, argv[words - 1]);
	return r < 0 ? r : hash_end(hash, ret_name);
}

static int code_cache_name_project(const char *project, char ret_name[NAME_SIZE])
{
	_cleanup_(hash_free) EVP_MD_CTX *hash = hash_begin();
	char real[PATH_MAX];

	if (!hash)
		return -ENOMEM;
	if (!realpath(project, real))
		return -errno;
	hash_text(hash, real);
	return hash_end(hash, ret_name);
}

/* The folder is the user's own, closed to everyone else, and used now. */
static int code_cache_use(const char *path)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	return futimens(fd, NULL) < 0 ? -errno : 0;
}

static int code_cache_use_new(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : code_cache_use(path);
}

static bool is_older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Finds the module that was not used for longest, if they are too many, or what a crash has left.
 */
static bool code_cache_find_oldest(DIR *dir, char ret_name[NAME_SIZE])
{
	struct timespec oldest = { 0 };
	const struct dirent *entry;
	unsigned count = 0;
	struct stat st;

	while ((entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (strncmp(entry->d_name, PARTIAL, strlen(PARTIAL)) == 0 &&
			st.st_mtime < time(NULL) - PARTIAL_AGE_S) {
			(void)snprintf(ret_name, NAME_SIZE, "%.*s", NAME_SIZE - 1, entry->d_name);
			return true;
		}
		if (strlen(entry->d_name) != NAME_SIZE - 1)
			continue;
		if (count++ > 0 && !is_older(&st.st_mtim, &oldest))
			continue;
		oldest = st.st_mtim;
		memcpy(ret_name, entry->d_name, NAME_SIZE);
	}
	return count >= CODE_CACHE_MODULES_MAX; /* another one is to come */
}

static void code_cache_trim(const char *folder)
{
	char name[NAME_SIZE], path[PATH_MAX];
	DIR *dir = opendir(folder);

	while (dir && code_cache_find_oldest(dir, name)) {
		int n = snprintf(path, sizeof path, "%s/%s", folder, name);

		if (n < 0 || (size_t)n >= sizeof path)
			break;
		cache_dir_remove(path);
		if (access(path, F_OK) == 0)
			break;
		log_debug("cache", "dropped a module that was not used for long");
		rewinddir(dir);
	}
	if (dir)
		closedir(dir);
}

static void code_cache_sweep(const char *modules)
{
	_cleanup_(fd_closep) int lock = -1;

	if (build_cache_open(modules, &lock) == 0)
		build_cache_sweep(modules);
}

/* Makes room, and a folder for the run. */
static int code_cache_begin(const char *modules, const char *folder, char **ret_partial)
{
	char *partial;

	code_cache_sweep(modules);
	code_cache_trim(folder);
	if (asprintf(&partial, "%s/" PARTIAL "XXXXXX", folder) < 0)
		return -ENOMEM;
	if (!mkdtemp(partial)) {
		int r = -errno;

		free(partial);
		return r;
	}
	*ret_partial = partial;
	return CODE_CACHE_MISS;
}

static int code_cache_find_named(const char *modules, const char *project, const char *module,
	char **ret_entry, char **ret_partial)
{
	_cleanup_(freep) char *folder = NULL, *entry = NULL;
	int r;

	if (asprintf(&folder, "%s/%s", modules, project) < 0) {
		folder = NULL;
		return -ENOMEM;
	}
	if (asprintf(&entry, "%s/%s", folder, module) < 0) {
		entry = NULL;
		return -ENOMEM;
	}
	r = code_cache_use_new(modules);
	if (r == 0)
		r = code_cache_use_new(folder);
	if (r == 0)
		r = code_cache_use(entry);
	if (r == -ENOENT)
		r = code_cache_begin(modules, folder, ret_partial);
	if (r >= 0)
		*ret_entry = take_ptr(entry);
	return r;
}

int code_cache_find(const char *project, const char *const *argv, char **ret_entry,
	char **ret_partial, char ret_why[APP_WHY_MAX])
{
	_cleanup_(freep) char *modules = NULL;
	char project_name[NAME_SIZE], name[NAME_SIZE], shown[SHOWN_MAX];
	int r = cache_dir_make("modules", &modules, ret_why);

	*ret_entry = *ret_partial = NULL;
	if (r < 0)
		return r;
	r = code_cache_name_project(project, project_name);
	if (r == 0)
		r = code_cache_name(argv, name);
	if (r == 0)
		r = code_cache_find_named(modules, project_name, name, ret_entry, ret_partial);
	if (r < 0)
		snprintf(ret_why, APP_WHY_MAX, "'%s' can't be used: %s",
			log_escape(shown, sizeof shown, modules, strlen(modules)),
			r == -EPERM ? "it, or a folder in it, is not private to this user"
				    : strerror(-r));
	return r;
}

/* Or a crash of the machine leaves the name with half of the code behind it. */
static int code_cache_sync(char *folder)
{
	char *const roots[] = { folder, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int r = fts ? 0 : -errno;

	for (FTSENT *e; r == 0 && (e = fts_read(fts));) {
		_cleanup_(fd_closep) int fd = -1;

		if (e->fts_info != FTS_F)
			continue;
		fd = open(e->fts_accpath, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			r = -errno;
	}
	if (fts)
		(void)fts_close(fts);
	return r;
}

int code_cache_keep(char *partial, const char *entry, const char *const *argv)
{
	char name[NAME_SIZE];
	int r = code_cache_name(argv, name);

	if (r == 0 && strcmp(strrchr(entry, '/') + 1, name) != 0)
		r = -ESTALE;
	if (r == 0)
		r = code_cache_sync(partial);
	if (r == 0 && rename(partial, entry) == 0)
		return 0;
	if (r == 0 && errno != ENOTEMPTY && errno != EEXIST)
		r = -errno;
	/* Another one was faster, or nobody is to find it. */
	cache_dir_remove(partial);
	return r;
}
