/* SPDX-License-Identifier: MIT */
#include "net/test_talker.h"

#include <linux/filter.h>
#include <linux/sockios.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/fd.h"
#include "net/sockopt.h"

#define STREAM_CHUNK 16384

/* xorshift64*: any bytes will do that no shift or swap of blocks leaves unnoticed. */
static void stream_next(uint64_t *state, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t x = *state;

		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		*state = x;
		x *= 0x2545f4914f6cdd1dU;
		memcpy(out + i, &x, len - i < sizeof(x) ? len - i : sizeof(x));
	}
}

bool stream_write(int fd, uint64_t seed, size_t len)
{
	uint8_t chunk[STREAM_CHUNK];

	while (len > 0) {
		size_t n = len < sizeof(chunk) ? len : sizeof(chunk);

		stream_next(&seed, chunk, n);
		for (size_t off = 0; off < n;) {
			ssize_t r = send(fd, chunk + off, n - off, MSG_NOSIGNAL);

			if (r < 0)
				return false;
			off += (size_t)r;
		}
		len -= n;
	}
	return true;
}

bool stream_read(int fd, uint64_t seed, size_t len)
{
	uint8_t chunk[STREAM_CHUNK], wanted[STREAM_CHUNK];

	while (len > 0) {
		size_t n = len < sizeof(chunk) ? len : sizeof(chunk);

		stream_next(&seed, wanted, n);
		if (recv(fd, chunk, n, MSG_WAITALL) != (ssize_t)n || memcmp(chunk, wanted, n) != 0)
			return false;
		len -= n;
	}
	return true;
}

static void *talker_main(void *arg)
{
	struct talker *talker = arg;
	char byte;

	talker->ok = talker->write ? stream_write(talker->fd, talker->seed, talker->len)
				   : stream_read(talker->fd, talker->seed, talker->len);
	if (talker->ok && talker->until_eof)
		talker->ok = talker->write ? shutdown(talker->fd, SHUT_WR) == 0
					   : recv(talker->fd, &byte, 1, 0) == 0;
	return NULL;
}

void talker_start(struct talker *talker)
{
	assert_int_equal(pthread_create(&talker->thread, NULL, talker_main, talker), 0);
}

bool talker_join(struct talker *talker)
{
	assert_int_equal(pthread_join(talker->thread, NULL), 0);
	return talker->ok;
}

void wait_acknowledged(int fd)
{
	int queued;

	do {
		assert_int_equal(ioctl(fd, SIOCOUTQ, &queued), 0);
		sched_yield();
	} while (queued > 0);
}

void reset_fd(int *fd)
{
	sockopt_set_reset(*fd);
	*fd = fd_close(*fd);
}

void vanish_fd(int fd)
{
	struct sock_filter drop = { .code = BPF_RET | BPF_K, .k = 0 };
	const struct sock_fprog program = { .len = 1, .filter = &drop };

	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}
