/* SPDX-License-Identifier: MIT */
/*
 * The process's own settings, made before anything else runs.
 */
#include "cli/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

void process_prepare(void)
{
	int fd;

	/* A closed stdout gives its number to the first socket, and a peer would get the lines
	 * meant for people. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	/* splice(2) and writev(2) have no MSG_NOSIGNAL. */
	(void)signal(SIGPIPE, SIG_IGN);
	/* A script behind a pipe waits for the line with the address. */
	(void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	(void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* a line is one write, however it is made */
}

void process_unblock_output(void)
{
	fd_unblock_output(STDOUT_FILENO);
	fd_unblock_output(STDERR_FILENO);
}

void process_raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("process", "can't raise the limit of open files: %m");
}
