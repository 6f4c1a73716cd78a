/* SPDX-License-Identifier: MIT */
/* A change of addresses is noticed, in a network namespace of our own. */
#include "net/addr_monitor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include "base/fd.h"
#include "net/addr.h"
#include "net/test_turn.h"

static void on_changed(void *owner)
{
	++*(unsigned *)owner;
}

static void on_closed(struct addr_monitor *w)
{
	*(unsigned *)w->owner = 0;
}

static void add_address(const char *text)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct addr addr;

	assert_int_equal(addr_parse_ip(text, 0, &addr), 0);
	memcpy(&request.ifr_addr, &addr.sa, sizeof(request.ifr_addr));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
	fd_close(fd);
}

static void test_new_address_is_told(void **state)
{
	unsigned changes = 0;
	struct addr_monitor w = {
		.fd = -1,
		.changed = on_changed,
		.closed = on_closed,
		.owner = &changes,
	};
	uv_loop_t loop;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		print_message("network namespaces are not allowed here\n");
		skip();
	}
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(addr_monitor_open(&w, &loop), 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(changes, 0);
	add_address("10.99.0.1");
	while (!changes)
		test_turn(&loop);
	addr_monitor_close(&w);
	addr_monitor_close(&w);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(changes, 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_address_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
