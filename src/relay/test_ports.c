/* SPDX-License-Identifier: MIT */
/* The choice of public ports, against the kernel's own idea of what is free. */
#include "relay/ports.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

struct fixture {
	uv_loop_t loop;
	struct addr local;
	struct listener listener, other;
};

static void on_closed(struct listener *l)
{
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	uv_loop_init(&f.loop);
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &f.local), 0);
	f.listener.fd = f.other.fd = -1;
	f.listener.closed = f.other.closed = on_closed;
	/* Somebody else's port. */
	assert_int_equal(listener_open(&f.other, &f.loop, &f.local, false, false), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	listener_close(&f->listener);
	listener_close(&f->other);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	return 0;
}

static void test_wanted_port(void **state)
{
	struct fixture *f = *state;
	uint16_t taken = addr_port(&f->other.addr), free_port;
	struct ports p;

	assert_int_equal(ports_init(&p, &f->loop, &f->local, false, 1024, 65535), 0);
	assert_int_equal(ports_listen(&p, &f->listener, 1023), PORTS_OUT_OF_RANGE);
	assert_int_equal(ports_listen(&p, &f->listener, taken), PORTS_TAKEN);
	assert_string_equal(ports_refusal_text(PORTS_TAKEN), "port already in use");
	assert_string_equal(
		ports_refusal_text(PORTS_OUT_OF_RANGE), "client port number not in allowed range");
	assert_string_equal(
		ports_refusal_text(PORTS_NONE_FREE), "failed to find an available port");

	assert_int_equal(ports_listen(&p, &f->listener, 0), PORTS_OK);
	free_port = addr_port(&f->listener.addr);
	listener_close(&f->listener);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	p.own = free_port;
	assert_int_equal(ports_listen(&p, &f->listener, free_port), PORTS_TAKEN);
	p.own = 0;
	assert_int_equal(ports_listen(&p, &f->listener, free_port), PORTS_OK);
	assert_int_equal(addr_port(&f->listener.addr), free_port);
}

static void test_random_port_stays_in_range(void **state)
{
	struct fixture *f = *state;
	uint16_t taken = addr_port(&f->other.addr);
	struct ports p;

	assert_int_equal(ports_init(&p, &f->loop, &f->local, false, taken, taken), 0);
	assert_int_equal(ports_listen(&p, &f->listener, 0), PORTS_NONE_FREE);
	listener_close(&f->other);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(ports_listen(&p, &f->listener, 0), PORTS_OK);
	assert_int_equal(addr_port(&f->listener.addr), taken);
}

static void test_no_permission_and_no_address(void **state)
{
	struct fixture *f = *state;
	struct addr elsewhere;
	struct ports p;

	assert_int_equal(addr_parse_ip("192.0.2.1", 0, &elsewhere), 0);
	assert_int_equal(ports_init(&p, &f->loop, &elsewhere, false, 1024, 65535), 0);
	assert_int_equal(ports_listen(&p, &f->listener, 40000), PORTS_FAILED);
	assert_string_equal(ports_refusal_text(PORTS_FAILED), "failed to bind to port");
	assert_string_equal(ports_refusal_text(PORTS_DENIED), "permission denied");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wanted_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_port_stays_in_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_permission_and_no_address, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
