/* SPDX-License-Identifier: MIT */
/*
 * The shared secret. Every secret takes a mapping of the same size, so that its length never has to
 * be known before it is read: a file is read straight into the mapping and leaves no copy
 * elsewhere.
 */
#include "base/secret.h"

#include "base/clock.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for the longest secret and its NUL, or for one byte too many while reading. */
#define SECRET_MAP_SIZE (SECRET_MAX_LEN + 2)

/* How long a pipe may be without a writer, and how long its writer may take, who may be asking a
 * person for a passphrase. */
#define SECRET_WRITER_MS 2000
#define SECRET_TEXT_MS 30000

/* What a parser may have used of it. */
#define STACK_WIPED (64 * 1024)

static int secret_map(char **ret_text)
{
	void *text = mmap(
		NULL, SECRET_MAP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (text == MAP_FAILED)
		return -ENOMEM;
	/* Can't fail on such a mapping but on a kernel built without it; the secret works all the
	 * same. */
	(void)madvise(text, SECRET_MAP_SIZE, MADV_DONTDUMP);
	*ret_text = text;
	return 0;
}

static void secret_unmap(char *text)
{
	if (!text)
		return;
	explicit_bzero(text, SECRET_MAP_SIZE);
	munmap(text, SECRET_MAP_SIZE);
}

static void secret_unmapp(char **text)
{
	secret_unmap(*text);
}

int secret_set(struct secret *s, const char *text, size_t len)
{
	char *copy;
	int r;

	if (len > SECRET_MAX_LEN)
		return -E2BIG;
	r = secret_map(&copy);
	if (r < 0)
		return r;
	memcpy(copy, text, len);
	secret_clear(s);
	*s = (struct secret){ .text = copy, .len = len, .set = true };
	return 0;
}

void secret_clear(struct secret *s)
{
	if (!s)
		return;
	secret_unmap(s->text);
	*s = (struct secret){ 0 };
}

/*
 * A file, or a pipe to its end (`--secret-file <(pass show relay)`). Whether a pipe has a writer is
 * told by read(2): 0, where there is none, and EAGAIN where there is one that is silent.
 */
static int secret_read_whole(int fd, char *text, size_t max)
{
	uint64_t end_ms = clock_now_ms() + SECRET_WRITER_MS, now_ms;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct stat st;
	bool writer = fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode);
	size_t len = 0;
	ssize_t n;

	while (len < max) {
		n = read(fd, text + len, max - len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n == 0 && writer)
			break;
		if (n != 0 && !writer) {
			writer = true;
			end_ms = clock_now_ms() + SECRET_TEXT_MS;
		}
		if (n > 0) {
			len += (size_t)n;
			continue;
		}
		now_ms = clock_now_ms();
		if (now_ms >= end_ms)
			return -ETIMEDOUT;
		/* POLLHUP: a writer has come and gone. */
		if (poll(&poll_fd, 1, (int)(end_ms - now_ms)) > 0)
			writer = true;
	}
	return (int)len;
}

int secret_read_file(struct secret *s, const char *path, const char **ret_why)
{
	_cleanup_(secret_unmapp) char *text = NULL;
	_cleanup_(fd_closep) int fd = -1;
	int r, len;

	r = file_open(path, O_RDONLY, 0, FILE_OR_PIPE, &fd);
	if (r >= 0)
		r = secret_map(&text);
	len = r < 0 ? r : secret_read_whole(fd, text, SECRET_MAX_LEN + 1);
	if (len < 0) {
		*ret_why = len == -ETIMEDOUT ? "it is a pipe, and nothing has come through it"
					     : file_why(len);
		return len;
	}
	if (len > SECRET_MAX_LEN) {
		*ret_why = "is longer than 4096 bytes";
		return -E2BIG;
	}
	if (memchr(text, '\0', (size_t)len)) {
		*ret_why = "holds a NUL byte";
		return -EINVAL;
	}
	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	secret_clear(s);
	*s = (struct secret){ .text = take_ptr(text), .len = (size_t)len, .set = true };
	return 0;
}

int secret_from_credential(struct secret *s, const char *name)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY"), *why;
	char path[PATH_MAX];
	int n;

	if (!dir)
		return -ENOENT;
	n = snprintf(path, sizeof path, "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	return secret_read_file(s, path, &why);
}

bool secret_file_is_exposed(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IROTH);
}

void secret_free(void *memory)
{
	if (memory)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

void secret_freep(void *variable)
{
	void *memory;

	memcpy(&memory, variable, sizeof(memory));
	secret_free(memory);
}

__attribute__((noinline)) void secret_wipe_stack(void)
{
	char area[STACK_WIPED];

	explicit_bzero(area, sizeof area);
}

void secret_hide_arg(char *arg)
{
	size_t len = strlen(arg);

	explicit_bzero(arg, len);
	if (len)
		arg[0] = 'x';
}
