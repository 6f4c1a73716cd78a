/* SPDX-License-Identifier: MIT */
/*
 * Connections are accepted here and given to libmicrohttpd's daemons in turn: it would close or
 * shut down a listening socket that it had, and could not say when it is through with it. The
 * connections' list is what the drain, the limit and the deadlines look at.
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
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "serve/internal.h"
#include "serve/request.h"
#include "serve/workers.h"

#define LOG "serve"
#define DAEMONS 2             /* threads that read and write */
#define CONN_MEMORY 131072    /* libmicrohttpd's, per connection: both heads and the buffers */
#define SWEEP_MS 1000         /* between two looks at the connections' deadlines */
#define DRAIN_TURN_MS 100     /* the same, once they are to end */
#define SHORTAGE_PAUSE_MS 100 /* without accepting, when there are no descriptors */

struct serve {
	const struct serve_config *config;
	struct MHD_Daemon *daemons[DAEMONS];
	size_t next; /* the daemon whose turn it is */
	struct workers workers;
	atomic_ullong held;
	int signal_fd;          /* SIGUSR1 */
	int wake_fd;            /* a connection has begun, or ended */
	atomic_ullong drain_ms; /* when it began; 0: it hasn't */
	pthread_mutex_t lock;   /* of what follows */
	struct list conns;
	size_t conn_count;
};

/* --- connections, on libmicrohttpd's threads --- */

static void on_connection(void *owner, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	struct serve *s = owner;
	struct conn *c = *context;

	pthread_mutex_lock(&s->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		s->conn_count++;
		c = *context = calloc(1, sizeof(*c));
		if (c) {
			c->fd = MHD_get_connection_info(
				connection, MHD_CONNECTION_INFO_CONNECTION_FD)
					->connect_fd;
			c->waits_since_ms = clock_now_ms();
			list_push_back(&s->conns, &c->link);
		}
	} else {
		s->conn_count--;
		if (c) {
			list_remove(&c->link);
			request_free(c->request);
		}
		free(c);
	}
	pthread_mutex_unlock(&s->lock);
	/* Who waits without a time limit while there is none looks at the deadlines from now on. */
	(void)eventfd_write(s->wake_fd, 1);
}

/* A request's first line. What is returned is on_access()'s and on_completed()'s. */
static void *on_target(void *owner, const char *target, struct MHD_Connection *connection)
{
	struct serve *s = owner;
	struct conn *c = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
				 ->socket_context;
	struct serve_request *r = c ? request_new(connection, target, &s->held) : NULL;

	if (!r)
		return NULL;
	r->conn = c;
	pthread_mutex_lock(&s->lock);
	c->busy = true;
	/* It was told the end before this came: it is for another connection. */
	if (c->ended_ms)
		r = request_free(r);
	pthread_mutex_unlock(&s->lock);
	return c->request = r;
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
		request_log(r);
	pthread_mutex_lock(&s->lock);
	r->conn->busy = false;
	r->conn->waits_since_ms = clock_now_ms();
	pthread_mutex_unlock(&s->lock);
	request_free(r);
}

/* The request is whole. */
static void request_is_ours(struct serve *s, struct serve_request *r)
{
	pthread_mutex_lock(&s->lock);
	r->conn->waits_since_ms = 0;
	pthread_mutex_unlock(&s->lock);
}

static enum MHD_Result request_queue_reply(struct serve *s, struct serve_request *r)
{
	enum MHD_Result result;

	if (!r->response)
		return MHD_NO;
	if (s->drain_ms)
		serve_reply_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
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

static bool job_is_late(const struct list *link)
{
	return clock_now_ms() - list_entry(link, struct serve_request, link)->queued_ms >
	       SERVE_QUEUE_MS;
}

/* Answers those whose turn doesn't come in time: all the workers may be busy for longer. */
static void serve_turn_away(struct serve *s)
{
	for (struct list *job; (job = workers_take_back(&s->workers, job_is_late));) {
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
		request_begin(r, method, version);
		/* Answered so early, the connection ends with the answer and the body stays out. */
		return r->status ? request_queue_reply(s, r) : MHD_YES;
	}
	if (*len) {
		bool more = request_take_body(r, data, *len);

		*len = 0;
		return more ? MHD_YES : MHD_NO;
	}
	if (r->status)
		return request_queue_reply(s, r);
	request_is_ours(s, r);
	if (s->config->workers == 0) {
		s->config->handler(s->config->owner, r);
		assert(r->status);
		return request_queue_reply(s, r);
	}
	r->queued_ms = clock_now_ms();
	MHD_suspend_connection(connection);
	workers_push(&s->workers, &r->link);
	return MHD_YES;
}

static _printf_(2, 0) void on_log(void *owner, const char *fmt, va_list args)
{
	char text[256], escaped[512];
	int n = vsnprintf(text, sizeof(text), fmt, args);

	if (n > 0)
		log_debug(LOG, "libmicrohttpd: '%s'",
			log_escape(escaped, sizeof(escaped), text, strcspn(text, "\r\n")));
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

/* Whether nobody is about to send a request: in a drain, it gets no further one. */
static bool conn_is_idle(const struct serve *s, const struct conn *c, uint64_t now_ms)
{
	return s->drain_ms && !c->busy &&
	       now_ms - max_u64(s->drain_ms, c->waits_since_ms) >= SERVE_DRAIN_IDLE_MS;
}

/*
 * Ends what waits for too long. In a drain the visitor is told first, and has some time to end it
 * himself: a request that comes to a closed socket would be answered by a reset. What is shut down
 * on both sides, libmicrohttpd closes.
 */
static void serve_sweep(struct serve *s)
{
	uint64_t now_ms = clock_now_ms();

	pthread_mutex_lock(&s->lock);
	list_for_each(link, &s->conns) {
		struct conn *c = list_entry(link, struct conn, link);
		bool late = c->waits_since_ms && now_ms - c->waits_since_ms > SERVE_REQUEST_MS;

		if (late || (c->ended_ms && now_ms - c->ended_ms >= SERVE_DRAIN_IDLE_MS)) {
			(void)shutdown(c->fd, SHUT_RDWR);
		} else if (!c->ended_ms && conn_is_idle(s, c, now_ms)) {
			(void)shutdown(c->fd, SHUT_WR);
			c->ended_ms = now_ms;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* Returns how many connections there are, and takes note that it has changed. */
static size_t serve_count(struct serve *s)
{
	eventfd_t changes;
	size_t count;

	(void)eventfd_read(s->wake_fd, &changes);
	pthread_mutex_lock(&s->lock);
	count = s->conn_count;
	pthread_mutex_unlock(&s->lock);
	return count;
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
	};
	uint64_t swept_ms = clock_now_ms();
	int pause_ms = 0;

	for (;;) {
		size_t count = serve_count(s);
		uint64_t now_ms = clock_now_ms();

		/* A connection that was accepted just before is counted by then. */
		if (s->drain_ms && count == 0 && now_ms - s->drain_ms >= SERVE_DRAIN_IDLE_MS)
			return;
		if (s->drain_ms || now_ms - swept_ms >= SWEEP_MS) {
			serve_sweep(s);
			serve_turn_away(s);
			swept_ms = now_ms;
		}
		fds[2].fd = s->drain_ms || pause_ms || count >= SERVE_CONNS_MAX
				    ? -1
				    : s->config->listen_fd;
		if (!pause_ms)
			pause_ms = s->drain_ms ? DRAIN_TURN_MS : count ? SWEEP_MS : -1;
		if (poll(fds, ARRAY_LEN(fds), pause_ms) < 0)
			continue;
		pause_ms = 0;
		if (fds[0].revents)
			serve_begin_drain(s);
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
			MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_NOTIFY_CONNECTION,
			on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
			MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned)SERVE_CONNS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
			(unsigned)SERVE_SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			(size_t)CONN_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
			MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);

	if (!daemon)
		return -ENOMEM;
	*ret_daemon = daemon;
	return 0;
}

static sigset_t drain_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return set;
}

/* Threads have it blocked from their parent. */
void serve_init(void)
{
	sigset_t drain = drain_signal();

	pthread_sigmask(SIG_BLOCK, &drain, NULL);
}

static int serve_open(struct serve *s)
{
	int fd = s->config->listen_fd, listening = 0, flags = fcntl(fd, F_GETFL), r = 0;
	socklen_t len = sizeof(listening);
	sigset_t drain = drain_signal();

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
		r = workers_start(&s->workers, s->config->workers, on_job, s);
	for (size_t i = 0; i < DAEMONS && r == 0; i++)
		r = serve_start_daemon(s, &s->daemons[i]);
	return r;
}

static void serve_close(struct serve *s)
{
	for (size_t i = 0; i < DAEMONS; i++)
		if (s->daemons[i])
			MHD_stop_daemon(s->daemons[i]);
	workers_stop(&s->workers);
	assert(s->held == 0 && list_empty(&s->conns));
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
	list_init(&s.conns);
	r = serve_open(&s);
	if (r < 0)
		return r;
	if (config->status_fd >= 0)
		(void)!write(config->status_fd, "\n", 1);
	fd_close(config->status_fd);
	serve_loop(&s);
	return 0;
}
