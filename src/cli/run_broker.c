/* SPDX-License-Identifier: MIT */
/*
 * The broker's process is no child of the engine's, which would have to reap it: it is forked by a
 * child that ends at once. It has a session of its own, so that a Ctrl-C at the terminal isn't
 * meant for it, and of the user's descriptors standard error alone, for as long as the module
 * lives: whoever reads the module's output in a pipe sees its end when the module has ended.
 *
 * Its life hangs on a pidfd of the process that becomes the engine: whatever ends the module, an
 * exit, a signal or SIGKILL, is seen there, and nothing that the module does with its descriptors
 * is. Then what flows has RUN_BROKER_DRAIN_MS to arrive: with a socket of its own, the kernel would
 * deliver what the module has written before its end.
 */
#include "cli/run_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "cli/process.h"
#include "net/addr.h"
#include "net/pump_pool.h"
#include "os/app_ports.h"
#include "os/broker.h"
#include "os/broker_request.h"
#include "os/conn_log.h"
#include "os/network.h"
#include "os/network_settings.h"

struct run_broker {
	uv_loop_t loop;
	uv_poll_t guest;
	uv_timer_t drain;
	struct pump_pool *pool;
	struct network *network;
	struct conn_log conns;
	struct broker *broker;
	struct broker_session *session;
	int guest_fd;  /* a pidfd */
	int listen_fd; /* of --listen; -1: none, or it is closed */
	bool ended;    /* the module has */
};

/* What the new process is given. */
struct run_broker_start {
	const struct os_network_config *config;
	const struct addr *addr;
	int guest_fd, listen_fd;
	int channel_fd; /* the broker's end */
	int result_fd;  /* an int goes here when it takes requests: 0, or a negative errno */
};

/* --- the end --- */

static void run_broker_on_closed(void *owner)
{
	struct run_broker *rb = owner;

	uv_stop(&rb->loop);
}

static void run_broker_on_late(uv_timer_t *timer)
{
	struct run_broker *rb = timer->data;

	broker_close(rb->broker, run_broker_on_closed, rb);
}

/* Nothing of the process is worth more than its descriptors, which are the kernel's to close. */
static void run_broker_settle(struct run_broker *rb)
{
	if (rb->ended && outward_count(broker_outward(rb->broker)) == 0)
		uv_stop(&rb->loop);
}

static void run_broker_on_connection(void *owner, const struct conn *conn)
{
	run_broker_settle(owner);
}

static void run_broker_leave_streams(int last)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= last && null >= 0; fd++)
		(void)dup2(null, fd);
	(void)fd_close(null);
}

static void run_broker_on_guest_ended(uv_poll_t *poll, int status, int events)
{
	struct run_broker *rb = poll->data;

	(void)uv_poll_stop(poll);
	run_broker_leave_streams(STDERR_FILENO);
	app_ports_set_gate(broker_ports(rb->broker), -1, 0);
	rb->listen_fd = fd_close(rb->listen_fd);
	rb->session = broker_session_close(rb->session);
	rb->ended = true;
	(void)uv_timer_start(&rb->drain, run_broker_on_late, RUN_BROKER_DRAIN_MS, 0);
	run_broker_settle(rb);
}

static void run_broker_on_hostile(void *owner, const char *why)
{
	struct run_broker *rb = owner;

	(void)pidfd_send_signal(rb->guest_fd, SIGKILL, NULL, 0);
}

/* --- the start --- */

static int run_broker_open_network(struct run_broker *rb, const struct os_network_config *config)
{
	struct network_limits limits;
	struct policy *policy;
	int r = network_new(&rb->loop, NULL, &rb->network);

	if (r < 0)
		return r;
	r = network_settings_make(config, NULL, &policy, &limits);
	if (r < 0)
		return r;
	return network_set(rb->network, policy, &limits);
}

/* By what the module calls it, it is reached over 127.0.0.1: not where it listens elsewhere. */
static void run_broker_set_gate(struct run_broker *rb, const struct addr *addr)
{
	struct addr here;
	char text[ADDR_TEXT_MAX];
	bool reached;

	(void)addr_parse_ip("127.0.0.1", addr_port(addr), &here);
	reached = addr_is_any(addr) || addr_equal(addr, &here);
	app_ports_set_gate(broker_ports(rb->broker), rb->listen_fd, reached ? addr_port(addr) : 0);
	addr_format_ip(addr, text);
	network_protect(rb->network, NETWORK_GATE, text, addr_port(addr));
}

static int run_broker_open(struct run_broker *rb, const struct run_broker_start *start)
{
	/* It is for one module: a worker moves what that can use. */
	const struct pump_pool_config pool = { .workers = 1,
		.inline_turns = PUMP_INLINE_TURNS,
		.half_close_timeout_ms = PUMP_HALF_CLOSE_MS,
		.vanished_timeout_ms = PUMP_VANISHED_MS };
	const struct broker_events events = { .hostile = run_broker_on_hostile, .owner = rb };
	struct broker_config broker = { .loop = &rb->loop, .log = &rb->conns };
	int r = uv_loop_init(&rb->loop);

	if (r == 0)
		r = uv_timer_init(&rb->loop, &rb->drain);
	if (r == 0)
		r = pump_pool_new(&rb->loop, &pool, &rb->pool);
	if (r == 0)
		r = run_broker_open_network(rb, start->config);
	if (r == 0)
		r = conn_log_init(&rb->conns, run_broker_on_connection, rb);
	broker.pool = rb->pool;
	broker.network = rb->network;
	if (r == 0)
		r = broker_new(&broker, &rb->broker);
	if (r == 0)
		r = broker_session_adopt(rb->broker, &events, start->channel_fd, &rb->session);
	if (r == 0)
		r = uv_poll_init(&rb->loop, &rb->guest, start->guest_fd);
	if (r < 0)
		return r;
	rb->guest_fd = start->guest_fd;
	rb->listen_fd = start->listen_fd;
	if (rb->listen_fd >= 0)
		run_broker_set_gate(rb, start->addr);
	rb->drain.data = rb->guest.data = rb;
	return uv_poll_start(&rb->guest, UV_READABLE, run_broker_on_guest_ended);
}

/* All but the first three and these are closed; -1 is none. */
static void run_broker_keep_only(const int *fds, size_t count)
{
	unsigned from = STDERR_FILENO + 1, next;

	do {
		next = ~0U;
		for (size_t i = 0; i < count; i++)
			if (fds[i] >= 0 && (unsigned)fds[i] >= from && (unsigned)fds[i] < next)
				next = (unsigned)fds[i];
		if (next > from)
			(void)close_range(from, next - 1, 0);
		from = next + 1;
	} while (next != ~0U);
}

static _Noreturn void run_broker_run(const struct run_broker_start *start)
{
	const int kept[] = { start->guest_fd, start->listen_fd, start->channel_fd,
		start->result_fd };
	struct run_broker rb = { .listen_fd = -1 };
	int r;

	run_broker_keep_only(kept, ARRAY_LEN(kept));
	run_broker_leave_streams(STDOUT_FILENO);
	(void)prctl(PR_SET_NAME, "wasmrun-broker");
	(void)!chdir("/");
	process_raise_nofile();
	r = run_broker_open(&rb, start);
	(void)!write(start->result_fd, &r, sizeof r);
	(void)fd_close(start->result_fd);
	if (r == 0)
		(void)uv_run(&rb.loop, UV_RUN_DEFAULT);
	_exit(EXIT_SUCCESS);
}

/* 0: somebody will write to start->result_fd, or close it. */
static int run_broker_fork(const struct run_broker_start *start)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)setsid();
		pid = fork();
		if (pid == 0)
			run_broker_run(start);
		_exit(EXIT_SUCCESS);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int run_broker_start(
	const struct os_network_config *config, int listen_fd, const struct addr *addr, int *ret_fd)
{
	_cleanup_(fd_closep) int guest_fd = pidfd_open(getpid(), 0), ours = -1, theirs = -1,
				 said = -1, says = -1;
	struct run_broker_start start = {
		.config = config, .addr = addr, .guest_fd = guest_fd, .listen_fd = listen_fd
	};
	int pair[2], pipe_fds[2], r, result = -EAGAIN;

	if (guest_fd < 0)
		return -errno;
	r = broker_channel_open(pair);
	if (r < 0)
		return r;
	ours = pair[0];
	start.channel_fd = ours;
	theirs = pair[1];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	said = pipe_fds[0];
	says = pipe_fds[1];
	start.result_fd = says;
	r = run_broker_fork(&start);
	if (r < 0)
		return r;
	(void)fd_close(take_fd(&says));
	(void)fd_read_full(said, &result, sizeof result);
	if (result == 0 && fcntl(theirs, F_SETFD, 0) < 0)
		result = -errno;
	if (result == 0)
		*ret_fd = take_fd(&theirs);
	return result;
}
