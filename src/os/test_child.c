/* SPDX-License-Identifier: MIT */
/*
 * A child on the loop, while each of the calls that its start is made of fails (ld's --wrap): it is
 * told why, at once or as its end, and nothing is left behind.
 */
#include "os/child.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/test_open_fds.h"
#include "net/test_turn.h"

#define DEADLINE_MS 60000

static struct {
	const char *call; /* the one that fails; NULL: none does */
	unsigned at;      /* how many of it don't before */
	int error;
} failing;

static bool fails_now(const char *call)
{
	if (!failing.call || strcmp(failing.call, call) != 0 || failing.at-- != 0)
		return false;
	failing.call = NULL;
	errno = failing.error;
	return true;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	return fails_now("fork") ? -1 : __real_fork();
}

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
	return fails_now("pidfd_open") ? -1 : __real_pidfd_open(pid, flags);
}

int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags)
{
	return fails_now("pipe2") ? -1 : __real_pipe2(fds, flags);
}

int __real_uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd);
int __wrap_uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd);
int __wrap_uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd)
{
	return fails_now("uv_poll_init") ? -failing.error : __real_uv_poll_init(loop, poll, fd);
}

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct log_ring *ring;
	struct child child;
	unsigned steps;
	bool ended;
	int status;
};

static void on_step(struct child *child)
{
	((struct fixture *)child->owner)->steps++;
}

static void on_ended(struct child *child, int status)
{
	struct fixture *f = child->owner;

	assert_false(child_runs(child));
	f->ended = true;
	f->status = status;
}

static void on_late(uv_timer_t *timer)
{
	fail_msg("the child's end has not come");
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->ring = log_ring_new();
	assert_non_null(f->ring);
	f->child.ring = f->ring;
	f->child.step = on_step;
	f->child.ended = on_ended;
	f->child.owner = f;
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uv_close((uv_handle_t *)&f->deadline, NULL);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	log_ring_free(f->ring);
	free(f);
	return 0;
}

/* `script` says by ">&3" what comes on the status pipe. */
static int start(struct fixture *f, const char *script, const char *dir)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct spawn_config config = { .argv = argv, .dir = dir };

	assert_int_equal(spawn_fds_set(&config.fds, SPAWN_STATUS, -1), 3);
	f->ended = false;
	f->steps = 0;
	return child_start(&f->child, &f->loop, &config, LOG_STREAM_STDOUT, LOG_STREAM_STDERR);
}

static void await_end(struct fixture *f)
{
	assert_int_equal(uv_timer_start(&f->deadline, on_late, DEADLINE_MS, 0), 0);
	while (!f->ended)
		test_turn(&f->loop);
	assert_int_equal(uv_timer_stop(&f->deadline), 0);
}

static void assert_nothing_left(unsigned fds)
{
	assert_int_equal(test_open_fds(), fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_life(void **state)
{
	struct fixture *f = *state;
	unsigned fds = test_open_fds();

	assert_int_equal(start(f, "echo >&3; echo because >&3; echo oops >&2; exit 3", "/"), 0);
	assert_true(child_runs(&f->child));
	await_end(f);
	assert_int_equal(f->steps, 1);
	assert_string_equal(f->child.why, "because");
	assert_string_equal(f->child.words, "oops");
	assert_false(f->child.failed);
	assert_true(WIFEXITED(f->status) && WEXITSTATUS(f->status) == 3);
	assert_nothing_left(fds);
}

/* The start has succeeded, as far as anybody can know then. What comes of it is an event. */
static void test_step_fails(void **state)
{
	struct fixture *f = *state;
	unsigned fds = test_open_fds();

	assert_int_equal(start(f, "exit 0", "/no/such/folder"), 0);
	await_end(f);
	assert_true(f->child.failed);
	assert_string_equal(f->child.why,
		"can't run in the folder '/no/such/folder': No such file or directory");
	assert_nothing_left(fds);
	/* The next one knows nothing of that. */
	assert_int_equal(start(f, "exit 0", "/"), 0);
	await_end(f);
	assert_false(f->child.failed);
	assert_string_equal(f->child.why, "");
}

static const struct {
	const char *call;
	unsigned at;
	int error;
	bool later; /* it is told as the child's end */
	const char *why;
} shortages[] = {
	{ "pipe2", 0, EMFILE, false, "can't start 'sh': Too many open files" },
	{ "pipe2", 1, EMFILE, false, "can't start 'sh': Too many open files" },
	{ "pipe2", 2, ENFILE, false, "can't start 'sh': Too many open files in system" },
	{ "pipe2", 3, EMFILE, false, "can't start 'sh': Too many open files" },
	{ "pidfd_open", 0, EMFILE, false, "can't start 'sh': Too many open files" },
	{ "fork", 0, EAGAIN, false, "can't start 'sh': Resource temporarily unavailable" },
	/* From here on the child runs. */
	{ "pidfd_open", 1, EMFILE, false, "can't start 'sh': Too many open files" },
	{ "uv_poll_init", 0, ENOSPC, false, "can't start 'sh': No space left on device" },
	{ "uv_poll_init", 1, ENOSPC, true, "can't start 'sh': No space left on device" },
	{ "uv_poll_init", 2, ENOMEM, true, "can't start 'sh': Cannot allocate memory" },
	{ "uv_poll_init", 3, ENOMEM, true, "can't start 'sh': Cannot allocate memory" },
};

static void test_shortages(void **state)
{
	struct fixture *f = *state;
	unsigned fds = test_open_fds();

	for (size_t i = 0; i < ARRAY_LEN(shortages); i++) {
		int r;

		failing.call = shortages[i].call;
		failing.at = shortages[i].at;
		failing.error = shortages[i].error;
		r = start(f, "exec sleep 60", "/");
		assert_null(failing.call);
		assert_int_equal(r, shortages[i].later ? 0 : -shortages[i].error);
		assert_int_equal(child_runs(&f->child), shortages[i].later);
		if (shortages[i].later)
			await_end(f);
		assert_true(f->child.failed);
		assert_string_equal(f->child.why, shortages[i].why);
		assert_nothing_left(fds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shortages, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
