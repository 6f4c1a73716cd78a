/* SPDX-License-Identifier: MIT */
/* stdio does the collecting. Owns its stream. */
#include "base/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/owner.h"

#define LINE_FILE_BUFFER 16384 /* about a hundred lines a write */

struct line_file {
	FILE *stream;
	bool failed;
	uint64_t lines; /* that wait to be flushed */
	uint64_t lost;  /* that could not be written since the last that could */
};

/* A pipe whose reader sleeps costs lines, and nobody waits for it. */
static int line_file_open_fd(const char *path, mode_t mode, int *ret_fd)
{
	int fd;

	if (strcmp(path, "-") != 0)
		return file_open(path, O_WRONLY | O_APPEND | O_CREAT, mode,
			FILE_OR_PIPE | FILE_OR_DEVICE, ret_fd);
	fd_unblock_output(STDOUT_FILENO);
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int line_file_open(const char *path, mode_t mode, struct line_file **ret_file)
{
	_cleanup_(fd_closep) int fd = -1;
	struct line_file *f;
	int r = line_file_open_fd(path, mode, &fd);

	if (r < 0)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->stream = fdopen(fd, "w"); /* truncates nothing */
	if (!f->stream) {
		r = -errno;
		free(f);
		return r;
	}
	(void)take_fd(&fd);
	(void)setvbuf(f->stream, NULL, _IOFBF, LINE_FILE_BUFFER);
	*ret_file = f;
	return 0;
}

struct line_file *line_file_close(struct line_file *f)
{
	if (!f)
		return NULL;
	(void)fclose(f->stream);
	free(f);
	return NULL;
}

int line_file_reopen(struct line_file *f, const char *path, mode_t mode)
{
	_cleanup_(fd_closep) int fd = -1;
	int r = line_file_open_fd(path, mode, &fd);

	if (r < 0)
		return r;
	(void)fflush(f->stream);
	f->failed = false;
	f->lines = f->lost = 0;
	return dup3(fd, fileno(f->stream), O_CLOEXEC) < 0 ? -errno : 0;
}

FILE *line_file_begin(struct line_file *f, uint64_t lines, uint64_t *ret_lost)
{
	*ret_lost = f->lines ? 0 : f->lost;
	/* The last of what could not be written may be there in part. */
	if (*ret_lost)
		(void)fputc('\n', f->stream);
	f->lines += lines;
	return f->stream;
}

int line_file_flush(struct line_file *f)
{
	bool failed = f->failed;
	int error;

	if (!f->lines)
		return 0;
	if (fflush(f->stream) == 0 && !ferror(f->stream)) {
		f->lines = f->lost = 0;
		return 0;
	}
	error = errno ? errno : EIO;
	f->lost += f->lines;
	f->lines = 0;
	f->failed = true;
	clearerr(f->stream);
	return failed ? 0 : -error;
}
