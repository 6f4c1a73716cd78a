/* SPDX-License-Identifier: MIT */
/* The guest's numbers: none is given twice, none meets the engine's, free ones come back. */
#include "guest/streams.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_standard_streams(void **state)
{
	struct streams s;

	streams_init(&s);
	assert_int_equal(streams_find(&s, 0)->kind, STREAM_INPUT);
	assert_int_equal(streams_find(&s, 1)->kind, STREAM_OUTPUT);
	assert_int_equal(streams_find(&s, 2)->kind, STREAM_OUTPUT);
	assert_null(streams_find(&s, 3));
	assert_null(streams_find(&s, STREAMS_SOCKET_BASE));
	assert_null(streams_find(&s, STREAMS_NO_FD));
	assert_false(streams_is_socket_fd(&s, 3));
	streams_drop(&s, 1);
	assert_null(streams_find(&s, 1));
	assert_true(is_open(STDOUT_FILENO));
	streams_drop(&s, 1);
	streams_drop(&s, 99);
	streams_deinit(&s);
}

static void test_listener(void **state)
{
	struct streams s;
	int fd = some_fd();

	streams_init(&s);
	streams_set_listener(&s, fd, 5);
	assert_int_equal(streams_find(&s, 5)->kind, STREAM_LISTENER);
	assert_false(streams_find(&s, 5)->nonblock);
	streams_drop(&s, 5);
	assert_false(is_open(fd));
	assert_null(streams_find(&s, 5));
	assert_true(streams_is_socket_fd(&s, 5));
	streams_deinit(&s);
}

static void test_sockets_come_and_go(void **state)
{
	uint32_t numbers[200], again;
	struct streams s;

	streams_init(&s);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(streams_add_visitor(&s, some_fd(), i & 1, &numbers[i]), 0);
		assert_true(numbers[i] >= STREAMS_SOCKET_BASE);
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(numbers[i], numbers[j]);
	}
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(streams_find(&s, numbers[i])->kind, STREAM_SOCKET);
		assert_int_equal(streams_find(&s, numbers[i])->nonblock, i & 1);
	}
	streams_drop(&s, numbers[70]);
	assert_null(streams_find(&s, numbers[70]));
	streams_drop(&s, numbers[70]);
	assert_int_equal(streams_add_visitor(&s, some_fd(), false, &again), 0);
	assert_int_equal(again, numbers[70]);
	streams_deinit(&s);
	assert_null(streams_find(&s, numbers[0]));
}

static void test_sockets_are_limited(void **state)
{
	struct streams s;
	uint32_t number;

	streams_init(&s);
	for (unsigned i = 0; i < STREAMS_SOCKETS_MAX; i++)
		assert_int_equal(streams_add_visitor(&s, -1, false, &number), 0);
	assert_int_equal(streams_add_visitor(&s, -1, false, &number), -EMFILE);
	streams_drop(&s, STREAMS_SOCKET_BASE);
	assert_int_equal(streams_add_visitor(&s, -1, false, &number), 0);
	assert_int_equal(number, STREAMS_SOCKET_BASE);
	streams_deinit(&s);
}

/* The program's number for standard output changes, and what it writes to it goes on to the same
 * place. */
static void test_renumbered(void **state)
{
	struct streams s;
	int listener = some_fd();

	streams_init(&s);
	streams_set_listener(&s, listener, 3);
	streams_renumber(&s, 1, 1);
	assert_ptr_equal(streams_find(&s, 1), &s.standard[1]);
	streams_renumber(&s, 1, 9);
	assert_null(streams_find(&s, 1));
	assert_ptr_equal(streams_find(&s, 9), &s.standard[1]);
	/* Over another one, which is gone. */
	streams_renumber(&s, 9, 0);
	assert_ptr_equal(streams_find(&s, 0), &s.standard[1]);
	assert_int_equal(s.standard[0].kind, STREAM_NONE);
	/* A file over it. */
	streams_renumber(&s, 7, 0);
	assert_null(streams_find(&s, 0));
	assert_ptr_equal(streams_find(&s, 2), &s.standard[2]);
	assert_int_equal(streams_find(&s, 3)->fd, listener);
	streams_deinit(&s);
}

/* The supervisor hears of the first look at the listener, of the first visitor, and of no other. */
static void test_status(void **state)
{
	struct streams s;
	uint32_t number;
	int ends[2];
	char byte;

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	streams_init(&s);
	streams_set_listener(&s, some_fd(), 3);
	s.status_fd = ends[1];
	assert_true(streams_is_socket_fd(&s, 3));
	assert_int_equal(read(ends[0], &byte, 1), -1);
	assert_non_null(streams_find(&s, 3));
	assert_non_null(streams_find(&s, 3));
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, '\n');
	assert_int_equal(read(ends[0], &byte, 1), -1);
	assert_int_equal(streams_add_visitor(&s, some_fd(), false, &number), 0);
	assert_int_equal(streams_add_visitor(&s, some_fd(), false, &number), 0);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(read(ends[0], &byte, 1), -1);
	streams_deinit(&s);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standard_streams),
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_sockets_come_and_go),
		cmocka_unit_test(test_sockets_are_limited),
		cmocka_unit_test(test_renumbered),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
