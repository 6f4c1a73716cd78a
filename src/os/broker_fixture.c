/* SPDX-License-Identifier: MIT */
#include "os/broker_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/lang.h"
#include "net/addr.h"
#include "os/app_ports.h"
#include "os/log_ring.h"
#include "policy/policy.h"

const struct network_limits fixture_limits = {
	.max_connections = 256,
	.connection_timeout_secs = 30,
	.bind_ports = { 9001, 9002 },
	.bind_port_count = 2,
};

/* --- the loop --- */

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("nothing has happened for %d ms", DEADLINE_MS);
}

void fixture_arm(struct fixture *f)
{
	uv_update_time(&f->loop);
	(void)uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
}

/* What the guest sees makes no event here: look again soon. */
static void on_tick(uv_timer_t *timer)
{
}

void fixture_turn(struct fixture *f)
{
	(void)uv_run(&f->loop, UV_RUN_ONCE);
}

/* --- the broker --- */

static void on_connection(void *owner, const struct conn *conn)
{
	struct fixture *f = owner;

	if (conn->open) {
		f->opened++;
		return;
	}
	f->ended++;
	f->last = *conn;
}

static void on_hostile(void *owner, const char *why)
{
	struct guest *g = owner;

	g->hostile++;
	snprintf(g->why, sizeof g->why, "%s", why);
}

void guest_open(struct fixture *f, struct guest *g)
{
	const struct broker_events events = { .hostile = on_hostile, .owner = g };

	*g = (struct guest){ .fd = -1 };
	assert_int_equal(broker_session_open(f->broker, &events, &g->session, &g->fd), 0);
}

void guest_close(struct guest *g)
{
	g->session = broker_session_close(g->session);
	g->fd = fd_close(g->fd);
}

void fixture_allow(struct fixture *f, const char *const *allow, const struct network_limits *limits)
{
	struct policy *policy = policy_new();
	char why[NET_RULE_WHY_MAX];

	assert_non_null(policy);
	for (; *allow; allow++)
		assert_int_equal(policy_add(policy, POLICY_ALLOW, *allow, "test", why), 0);
	assert_int_equal(network_set(f->network, policy, limits), 0);
}

void fixture_open(struct fixture *f, const char *const *allow, const struct network_limits *limits)
{
	const struct pump_pool_config config = { .workers = 1 };

	*f = (struct fixture){ .gate = -1 };
	assert_int_equal(uv_loop_init(&f->loop), 0);
	(void)uv_timer_init(&f->loop, &f->deadline);
	(void)uv_timer_init(&f->loop, &f->tick);
	(void)uv_timer_start(&f->tick, on_tick, 1, 1);
	f->ring = log_ring_new();
	assert_non_null(f->ring);
	assert_int_equal(conn_log_init(&f->log, on_connection, f), 0);
	assert_int_equal(pump_pool_new(&f->loop, &config, &f->pool), 0);
	assert_int_equal(network_new(&f->loop, f->ring, &f->network), 0);
	fixture_allow(f, allow, limits);
	assert_int_equal(broker_new(&(struct broker_config){ .loop = &f->loop,
					    .pool = f->pool,
					    .network = f->network,
					    .log = &f->log },
				 &f->broker),
		0);
	f->gate = server_open(&f->gate_port);
	app_ports_set_gate(broker_ports(f->broker), f->gate, f->gate_port);
	network_protect(f->network, NETWORK_GATE, "127.0.0.1", f->gate_port);
	guest_open(f, &f->guest);
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

void fixture_close(struct fixture *f)
{
	guest_close(&f->guest);
	broker_close(f->broker, on_closed, f);
	WAIT_UNTIL(f, f->closed);
	f->closed = false;
	network_close(f->network, on_closed, f);
	WAIT_UNTIL(f, f->closed);
	f->closed = false;
	pump_pool_close(f->pool, on_closed, f);
	WAIT_UNTIL(f, f->closed);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_close((uv_handle_t *)&f->tick, NULL);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_true(f->opened <= f->ended);
	conn_log_deinit(&f->log);
	f->ring = log_ring_free(f->ring);
	f->gate = fd_close(f->gate);
}

/* --- the wire --- */

static struct broker_addr wire(const char *ip)
{
	struct broker_addr a = { .family = strchr(ip, ':') ? BROKER_IPV6 : BROKER_IPV4 };

	assert_int_equal(inet_pton(a.family == BROKER_IPV6 ? AF_INET6 : AF_INET, ip, a.bytes), 1);
	return a;
}

struct broker_request request_resolve(const char *name, enum broker_family family)
{
	struct broker_request r = { .op = BROKER_RESOLVE, .addr.family = (uint8_t)family };

	snprintf(r.name, sizeof r.name, "%s", name);
	return r;
}

struct broker_request request_connect(const char *ip, uint16_t port)
{
	return (struct broker_request){ .op = BROKER_CONNECT, .port = port, .addr = wire(ip) };
}

struct broker_request request_listen(uint16_t port)
{
	return (struct broker_request){
		.op = BROKER_LISTEN, .port = port, .addr.family = BROKER_IPV4
	};
}

struct broker_request request_datagrams(void)
{
	return (struct broker_request){ .op = BROKER_DATAGRAMS, .addr.family = BROKER_IPV4 };
}

void guest_send(struct guest *g, const void *data, size_t len, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(count * sizeof(int)) };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(g->fd, &message, MSG_NOSIGNAL), (ssize_t)len);
}

int guest_ask(struct guest *g, const struct broker_request *r)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	guest_send(g, r, sizeof *r, &pair[1], 1);
	(void)fd_close(pair[1]);
	return pair[0];
}

bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

bool has_answer(int reply)
{
	return is_readable(reply);
}

int take_answer(int reply, struct broker_answer *ret_answer, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = ret_answer, .iov_len = sizeof *ret_answer };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };

	*ret_fd = -1;
	assert_int_equal(recvmsg(reply, &message, MSG_CMSG_CLOEXEC), (ssize_t)sizeof *ret_answer);
	if (CMSG_FIRSTHDR(&message)) {
		assert_int_equal(CMSG_FIRSTHDR(&message)->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	}
	(void)fd_close(reply);
	return ret_answer->error;
}

int guest_call(struct fixture *f, struct guest *g, const struct broker_request *r,
	struct broker_answer *ret_answer, int *ret_fd)
{
	int reply = guest_ask(g, r);

	WAIT_UNTIL(f, has_answer(reply));
	return take_answer(reply, ret_answer, ret_fd);
}

/* --- destinations --- */

static int server_with(uint16_t *ret_port, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr addr;

	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(bind(fd, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(addr_of_socket(fd, &addr), 0);
	*ret_port = addr_port(&addr);
	return fd;
}

int server_open(uint16_t *ret_port)
{
	return server_with(ret_port, 4096);
}

void silent_open(struct silent *s)
{
	struct addr addr;

	s->fd = server_with(&s->port, 0);
	assert_int_equal(addr_parse_ip("127.0.0.1", s->port, &addr), 0);
	for (size_t i = 0; i < ARRAY_LEN(s->fillers); i++) {
		s->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(s->fillers[i], &addr.sa, addr_len(&addr));
	}
}

void silent_close(struct silent *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->fillers); i++)
		(void)fd_close(s->fillers[i]);
	(void)fd_close(s->fd);
}
