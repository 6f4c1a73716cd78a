/* SPDX-License-Identifier: MIT */
#include "guest/test_call_fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct call_fixture f;

void call_fixture_open(void)
{
	memset(f.memory, 0, sizeof(f.memory));
	streams_init(&f.streams);
	f.call = (struct call){ .streams = &f.streams,
		.mem = { .data = f.memory, .size = sizeof(f.memory) } };
}

void call_fixture_listen(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 8), 0);
	streams_set_listener(&f.streams, fd, FIXTURE_LISTENER);
}

void call_fixture_close(void)
{
	streams_deinit(&f.streams);
}

int call_fixture_connect(void)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(f.streams.listener.fd, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	return fd;
}

int call_fixture_call(call_fn fn, const uint32_t *args)
{
	memcpy(f.call.arg, args, sizeof(f.call.arg));
	return fn(&f.call);
}

void call_fixture_put_vector(uint32_t at, uint32_t address, uint32_t len)
{
	guest_store_u32(f.memory + at, address);
	guest_store_u32(f.memory + at + 4, len);
}
