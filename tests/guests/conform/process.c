/* SPDX-License-Identifier: MIT */
/* Arguments, environment, clocks, random bytes, waiting, and the standard streams. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static void check_arguments(int argc, char **argv)
{
	size_t n, size;

	CHECK(argc == 4);
	CHECK(strcmp(argv[0], "process.wasm") == 0);
	CHECK(strcmp(argv[1], "first") == 0 && strcmp(argv[2], "") == 0);
	CHECK(strcmp(argv[3], "the \"third\", ü") == 0);
	GIVES(SUCCESS, __wasi_args_sizes_get(&n, &size));
	CHECK(n == 4 &&
		size == sizeof("process.wasm") + sizeof("first") + 1 + sizeof("the \"third\", ü"));
	GIVES(SUCCESS, __wasi_environ_sizes_get(&n, &size));
	CHECK(n == 3);
	CHECK(strcmp(getenv("A"), "text") == 0 && strcmp(getenv("B"), "escap \" ing") == 0);
	CHECK(strcmp(getenv("C"), "new\nline") == 0 && !getenv("HOME"));
}

static void check_clocks(void)
{
	__wasi_timestamp_t res, last = 0, now;
	struct timespec zero = { 0 };

	GIVES(SUCCESS, __wasi_clock_res_get(__WASI_CLOCKID_REALTIME, &res));
	CHECK(res > 0 && res <= 1000000000);
	GIVES(SUCCESS, __wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &res));
	CHECK(res > 0 && res <= 1000000000);
	for (int i = 0; i < 100; i++) {
		GIVES(SUCCESS, __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now));
		CHECK(now >= last);
		last = now;
	}
	GIVES(SUCCESS, __wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &now));
	CHECK(now / 1000000000 > 1700000000);
	CHECK(nanosleep(&zero, NULL) == 0);
	GIVES(SUCCESS, __wasi_sched_yield());
}

static void check_random(void)
{
	static uint8_t bytes[1 << 20];
	unsigned seen[256] = { 0 }, distinct = 0;

	GIVES(SUCCESS, __wasi_random_get(bytes, sizeof(bytes)));
	for (size_t i = sizeof(bytes) - 65536; i < sizeof(bytes); i++)
		distinct += !seen[bytes[i]]++;
	CHECK(distinct == 256);
	GIVES(SUCCESS, __wasi_random_get(bytes, 0));
}

static __wasi_subscription_t clock_in(uint64_t ns, __wasi_subclockflags_t flags)
{
	__wasi_subscription_t in = { .userdata = ns };

	in.u.tag = __WASI_EVENTTYPE_CLOCK;
	in.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
	in.u.u.clock.timeout = ns;
	in.u.u.clock.flags = flags;
	return in;
}

static void check_waiting(void)
{
	__wasi_subscription_t in[3] = { clock_in(5000000, 0), clock_in(60000000000, 0) };
	__wasi_timestamp_t before, after;
	__wasi_event_t out[3];
	size_t n;

	GIVES(INVAL, __wasi_poll_oneoff(in, out, 0, &n));
	GIVES(SUCCESS, __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &before));
	GIVES(SUCCESS, __wasi_poll_oneoff(in, out, 2, &n));
	GIVES(SUCCESS, __wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &after));
	CHECK(n == 1 && out[0].userdata == 5000000 && out[0].type == __WASI_EVENTTYPE_CLOCK);
	CHECK(after - before >= 5000000);
	in[0] = clock_in(after, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
	GIVES(SUCCESS, __wasi_poll_oneoff(in, out, 1, &n));
	CHECK(n == 1 && out[0].error == 0);
	/* Standard output is ready, a number that is none is told at once. */
	in[1].userdata = 1;
	in[1].u.tag = __WASI_EVENTTYPE_FD_WRITE;
	in[1].u.u.fd_write.file_descriptor = 1;
	in[2].userdata = 2;
	in[2].u.tag = __WASI_EVENTTYPE_FD_READ;
	in[2].u.u.fd_read.file_descriptor = 99;
	GIVES(SUCCESS, __wasi_poll_oneoff(in + 1, out, 2, &n));
	CHECK(n == 2 && out[0].userdata == 1 && out[0].error == 0);
	CHECK(out[1].userdata == 2 && out[1].error == __WASI_ERRNO_BADF);
}

static void check_streams(void)
{
	__wasi_fdstat_t stat;
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char text[8] = "";

	for (int fd = 0; fd < 3; fd++)
		GIVES(SUCCESS, __wasi_fd_fdstat_get((__wasi_fd_t)fd, &stat));
	CHECK(poll(&in, 1, -1) == 1 && in.revents & POLLIN);
	CHECK(read(STDIN_FILENO, text, 7) == 5 && strcmp(text, "input") == 0);
	CHECK(read(STDIN_FILENO, text, 7) == 0);
	CHECK(!isatty(STDIN_FILENO) && !isatty(STDOUT_FILENO));
	CHECK(write(STDERR_FILENO, "error\n", 6) == 6);
	CHECK(lseek(STDOUT_FILENO, 0, SEEK_CUR) < 0 && errno == ESPIPE);
	GIVES(BADF, __wasi_fd_close(99));
}

int main(int argc, char **argv)
{
	check_arguments(argc, argv);
	check_clocks();
	check_random();
	check_waiting();
	check_streams();
	return end();
}
