/* SPDX-License-Identifier: MIT */
/* The service manager hears us, at a path and at an abstract socket. */
#include "cli/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"

static void expect_ready(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	char got[32];
	ssize_t n;

	memcpy(at.sun_path, name, strlen(name));
	if (*name == '@')
		at.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len + (*name == '/')), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send(NOTIFY_READY), 0);
	n = recv(fd, got, sizeof got, MSG_DONTWAIT);
	assert_int_equal(n, strlen("READY=1"));
	assert_memory_equal(got, "READY=1", (size_t)n);
}

static void test_path(void **state)
{
	char dir[] = "/tmp/notify-XXXXXX", path[64];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/socket", dir);
	expect_ready(path);
	unlink(path);
	rmdir(dir);
}

static void test_abstract(void **state)
{
	char name[64];

	snprintf(name, sizeof name, "@bore-test-notify-%d", (int)getpid());
	expect_ready(name);
}

static void test_nobody(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send(NOTIFY_READY), 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send(NOTIFY_READY), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	assert_int_equal(notify_send(NOTIFY_READY), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
