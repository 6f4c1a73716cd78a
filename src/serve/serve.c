/* SPDX-License-Identifier: MIT */
/*
 * Connections are accepted here and given to libmicrohttpd's daemons in turn: it would close or
 * shut down a listening socket that it had, and could not say when it is through with it.
 *
 * There are three sorts of threads. The calling one accepts, and looks at the connections'
 * deadlines (serve_sweep()). The daemons' read and write, and call on_connection(), on_target(),
 * on_access() and on_completed(). The workers run the handler, where it takes its time. `lock`
 * guards the list of connections, which the first two look at. A request is one thread's at a time:
 * its daemon's, and from MHD_suspend_connection() to MHD_resume_connection() the queue's or a
 * worker's, or the calling thread's where its turn doesn't come in time (serve_turn_away()).
 *
 * A connection lives from libmicrohttpd's first word about it to its last. A request lives from its
 * first line to on_completed(); where it fails before its head is through, libmicrohttpd says
 * nothing of that, and it ends with its connection.
 *
 * SIGUSR1 begins a drain: nothing is accepted any more, a connection without a request is told its
 * end (serve_conn_drain()), and serve_loop() returns when the last one is gone.
 */
#include "serve/serve.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "mhd/mhd.h"
#include "mhd/reason.h"
#include "net/lingering.h"
#include "serve/serve_internal.h"
#include "serve/serve_request.h"
#include "serve/job_pool.h"

#define LOG "serve"
#define DAEMONS 2             /* threads that read and write */
#define CONN_MEMORY 131072    /* libmicrohttpd's, per connection: both heads and the buffers */
#define SHORTAGE_PAUSE_MS 100 /* without accepting, when there are no descriptors */

struct serve {
	const struct serve_config *config;
	struct MHD_Daemon *daemons[DAEMONS];
	size_t next; /* the daemon whose turn it is */
	struct job_pool workers;
	atomic_ullong held;
	atomic_bool answered;   /* somebody was */
	int signal_fd;          /* SIGUSR1 */
	int wake_fd;            /* a connection has ended, or is the only one */
	atomic_ullong drain_ms; /* when it began; 0: it hasn't */
	pthread_mutex_t lock;   /* of what follows */
	struct mhd_conns conns;
};

/* --- connections, on libmicrohttpd's threads --- */

static void on_connection(void *owner, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	struct serve *s = owner;
	struct serve_conn *c = *context;

	pthread_mutex_lock(&s->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		c = *context = calloc(1, sizeof(*c));
		mhd_conns_add(&s->conns, c ? &c->mhd : NULL, connection);
		if (c) {
			c->idle_ms = clock_now_ms();
			c->mhd.deadline_ms = c->idle_ms + MHD_HEAD_MS;
			/* The loop was asleep without a time to wake up at. */
			if (s->conns.count == 1)
				(void)eventfd_write(s->wake_fd, 1);
		}
	} else if (c) {
		mhd_conns_remove(&s->conns, &c->mhd);
		serve_request_free(c->request);
		free(c);
		(void)eventfd_write(s->wake_fd, 1);
	}
	pthread_mutex_unlock(&s->lock);
}

/* A request's first line. What is returned is on_access()'s and on_completed()'s. */
static void *on_target(void *owner, const char *target, struct MHD_Connection *connection)
{
	struct serve *s = owner;
	struct serve_conn *c = mhd_conn_of(connection);
	struct serve_request *r = c ? serve_request_new(connection, target, &s->held) : NULL;

	/* It is read from our own copy. */
	(void)mhd_query_cut(target, 0);
	if (!r)
		return NULL;
	r->conn = c;
	pthread_mutex_lock(&s->lock);
	c->busy = true;
	/* It was told the end before this came: it is for another connection. */
	if (c->ended_ms)
		r = serve_request_free(r);
	pthread_mutex_unlock(&s->lock);
	return c->request = r;
}

/* The first answer tells the supervisor as well that there was a visitor. */
static void serve_answered(struct serve *s, const struct serve_request *r)
{
	serve_request_log(r);
	if (!atomic_exchange(&s->answered, true) && s->config->status_fd >= 0)
		(void)!write(s->config->status_fd, "\n\n", 2);
}

static void on_completed(void *owner, struct MHD_Connection *connection, void **ret_request,
	enum MHD_RequestTerminationCode code)
{
	struct serve *s = owner;
	struct serve_request *r = *ret_request;

	if (!r)
		return;
	*ret_request = r->conn->request = NULL;
	if (r->begun && r->status)
		serve_answered(s, r);
	pthread_mutex_lock(&s->lock);
	r->conn->busy = false;
	r->conn->idle_ms = clock_now_ms();
	r->conn->mhd.deadline_ms = r->conn->idle_ms + MHD_IDLE_S * 1000 + MHD_HEAD_MS;
	pthread_mutex_unlock(&s->lock);
	serve_request_free(r);
}

static void serve_set_deadline(struct serve *s, struct serve_request *r, uint64_t deadline_ms)
{
	pthread_mutex_lock(&s->lock);
	r->conn->mhd.deadline_ms = deadline_ms;
	pthread_mutex_unlock(&s->lock);
}

static enum MHD_Result serve_queue_reply(struct serve *s, struct serve_request *r)
{
	enum MHD_Result result;

	if (!r->response)
		return MHD_NO;
	if (s->drain_ms)
		serve_reply_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	mhd_reason_set(r->reason);
	result = MHD_queue_response(r->connection, r->status, r->response);
	MHD_destroy_response(take_ptr(r->response));
	return result;
}

/* On a worker. */
static void on_job(void *owner, struct list *link)
{
	struct serve *s = owner;
	struct serve_request *r = list_entry(link, struct serve_request, link);

	s->config->handler(s->config->owner, r);
	assert(r->status);
	MHD_resume_connection(r->connection);
}

static bool serve_job_is_late(const struct list *link)
{
	return clock_now_ms() - list_entry(link, struct serve_request, link)->queued_ms >
	       SERVE_QUEUE_MS;
}

/* Answers those whose turn doesn't come in time: all the workers may be busy for longer. */
static void serve_turn_away(struct serve *s)
{
	for (struct list *job; (job = job_pool_take_back(&s->workers, serve_job_is_late));) {
		struct serve_request *r = list_entry(job, struct serve_request, link);

		serve_reply_status(r, MHD_HTTP_SERVICE_UNAVAILABLE);
		MHD_resume_connection(r->connection);
	}
}

/* Called at the head of a request, for each piece of its body, at its end, and when it was resumed.
 */
static enum MHD_Result on_access(void *owner, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *len, void **ret_request)
{
	struct serve *s = owner;
	struct serve_request *r = *ret_request;

	if (!r)
		return MHD_NO;
	if (!r->begun) {
		serve_set_deadline(s, r, clock_now_ms() + MHD_BODY_MS);
		serve_request_begin(r, method, version);
		/* Answered so early, the connection ends with the answer and the body isn't parsed.
		 */
		return r->status ? serve_queue_reply(s, r) : MHD_YES;
	}
	if (*len) {
		bool more = serve_request_take_body(r, data, *len);

		*len = 0;
		return more ? MHD_YES : MHD_NO;
	}
	if (r->status)
		return serve_queue_reply(s, r);
	serve_set_deadline(s, r, UINT64_MAX);
	if (s->config->workers == 0) {
		s->config->handler(s->config->owner, r);
		assert(r->status);
		return serve_queue_reply(s, r);
	}
	r->queued_ms = clock_now_ms();
	MHD_suspend_connection(connection);
	job_pool_push(&s->workers, &r->link);
	return MHD_YES;
}

/* --- the calling thread --- */

static void serve_begin_drain(struct serve *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) < 0 || s->drain_ms)
		return;
	s->drain_ms = clock_now_ms();
	log_info(LOG, "taking no more connections, ending with those that are open");
}

/*
 * In a drain, ends the connections on which nobody is about to send a request. The visitor is told
 * first, and has some time to end his side himself: a request that comes to a closed socket would
 * be answered by a reset.
 */
static void serve_conn_drain(const struct serve *s, struct serve_conn *c, uint64_t now_ms)
{
	if (c->ended_ms) {
		if (now_ms - c->ended_ms >= SERVE_DRAIN_IDLE_MS)
			mhd_conn_end(&c->mhd);
	} else if (!c->busy && now_ms - max_u64(s->drain_ms, c->idle_ms) >= SERVE_DRAIN_IDLE_MS) {
		(void)shutdown(c->mhd.fd, SHUT_WR);
		c->ended_ms = now_ms;
	}
}

static void serve_sweep(struct serve *s)
{
	uint64_t now_ms = clock_now_ms();

	pthread_mutex_lock(&s->lock);
	if (s->drain_ms)
		list_for_each(link, &s->conns.open)
			serve_conn_drain(s, list_entry(link, struct serve_conn, mhd.link), now_ms);
	mhd_conns_sweep(&s->conns, now_ms);
	pthread_mutex_unlock(&s->lock);
}

/* Returns how many connections there are, and takes note of those that have ended. */
static size_t serve_count(struct serve *s, size_t *ret_lingering)
{
	eventfd_t ended;
	size_t count;

	(void)eventfd_read(s->wake_fd, &ended);
	pthread_mutex_lock(&s->lock);
	count = s->conns.count;
	*ret_lingering = s->conns.lingering.count;
	pthread_mutex_unlock(&s->lock);
	return count;
}

static void serve_run_lingering(struct serve *s)
{
	pthread_mutex_lock(&s->lock);
	lingering_run(&s->conns.lingering);
	pthread_mutex_unlock(&s->lock);
}

/* How long the loop may sleep: until the next sweep, where there is something to look at. */
static int serve_sweep_ms(const struct serve *s, size_t count, size_t lingering)
{
	if (s->drain_ms || count >= SERVE_CONNS_MAX / 2)
		return MHD_SWEEP_CROWDED_MS;
	return count || lingering ? MHD_SWEEP_MS : -1;
}

/* Takes one connection. Returns how long not to take another, in ms. */
static int serve_accept(struct serve *s)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(
		s->config->listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		/* It closes the descriptor when it can't take it. */
		(void)MHD_add_connection(s->daemons[s->next], fd, (struct sockaddr *)&peer, len);
		s->next = (s->next + 1) % DAEMONS;
		return 0;
	}
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
		return 0;
	log_debug(LOG, "can't take a connection: %s, waiting", strerror(errno));
	return SHORTAGE_PAUSE_MS;
}

/* Until a drain is through. */
static void serve_loop(struct serve *s)
{
	struct pollfd fds[] = {
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->wake_fd, .events = POLLIN },
		{ .events = POLLIN },
		{ .fd = s->conns.lingering.epoll_fd, .events = POLLIN },
	};
	uint64_t swept_ms = clock_now_ms();
	int pause_ms = 0;

	for (;;) {
		size_t lingering, count = serve_count(s, &lingering);
		uint64_t now_ms = clock_now_ms();
		int turn_ms = serve_sweep_ms(s, count, lingering);

		/* A connection that was accepted just before is counted by then. */
		if (s->drain_ms && count + lingering == 0 &&
			now_ms - s->drain_ms >= SERVE_DRAIN_IDLE_MS)
			return;
		if (turn_ms >= 0 && now_ms - swept_ms >= (uint64_t)turn_ms) {
			serve_sweep(s);
			serve_turn_away(s);
			swept_ms = now_ms;
		}
		fds[2].fd = s->drain_ms || pause_ms || count >= SERVE_CONNS_MAX
				    ? -1
				    : s->config->listen_fd;
		if (poll(fds, ARRAY_LEN(fds), pause_ms ? pause_ms : turn_ms) < 0)
			continue;
		pause_ms = 0;
		if (fds[0].revents)
			serve_begin_drain(s);
		if (fds[3].revents)
			serve_run_lingering(s);
		if (fds[2].fd >= 0 && fds[2].revents)
			pause_ms = serve_accept(s);
	}
}

static int serve_start_daemon(struct serve *s, struct MHD_Daemon **ret_daemon)
{
	struct MHD_Daemon *daemon =
		MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
					 MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
			0, NULL, NULL, on_access, s,
			/* First, so that it is used from the start. */
			MHD_OPTION_EXTERNAL_LOGGER, mhd_log, (void *)(uintptr_t)LOG,
			MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
			on_completed, s, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
			MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVE_CONNS_MAX,
			MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)MHD_IDLE_S,
			MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY,
			MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
			MHD_OPTION_END);

	if (!daemon)
		return -ENOMEM;
	*ret_daemon = daemon;
	return 0;
}

static sigset_t serve_drain_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return set;
}

/* Threads have it blocked from their parent. */
void serve_init(void)
{
	sigset_t drain = serve_drain_signal();

	pthread_sigmask(SIG_BLOCK, &drain, NULL);
}

static int serve_open(struct serve *s)
{
	int fd = s->config->listen_fd, listening = 0, flags = fcntl(fd, F_GETFL), r = 0;
	socklen_t len = sizeof(listening);
	sigset_t drain = serve_drain_signal();

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return -errno;
	if (!listening)
		return -EINVAL;
	s->signal_fd = signalfd(-1, &drain, SFD_CLOEXEC | SFD_NONBLOCK);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->signal_fd < 0 || s->wake_fd < 0)
		return -errno;
	if (s->config->workers)
		r = job_pool_start(&s->workers, s->config->workers, on_job, s);
	for (size_t i = 0; i < DAEMONS && r == 0; i++)
		r = serve_start_daemon(s, &s->daemons[i]);
	return r;
}

static void serve_close(struct serve *s)
{
	for (size_t i = 0; i < DAEMONS; i++)
		if (s->daemons[i])
			MHD_stop_daemon(s->daemons[i]);
	job_pool_stop(&s->workers);
	assert(s->held == 0 && list_empty(&s->conns.open));
	mhd_conns_deinit(&s->conns);
	fd_close(s->signal_fd);
	fd_close(s->wake_fd);
	pthread_mutex_destroy(&s->lock);
}

int serve_run(const struct serve_config *config)
{
	_cleanup_(
		serve_close) struct serve s = { .config = config, .signal_fd = -1, .wake_fd = -1 };
	int r;

	pthread_mutex_init(&s.lock, NULL);
	r = mhd_conns_init(&s.conns);
	if (r == 0)
		r = serve_open(&s);
	if (r < 0)
		return r;
	if (config->status_fd >= 0)
		(void)!write(config->status_fd, "\n", 1);
	serve_loop(&s);
	return 0;
}
