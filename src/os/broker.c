/* SPDX-License-Identifier: MIT */
/*
 * A request is answered at once, or, where a dial takes its time, waits as a struct broker_wait:
 * for the answer, or for the guest to close its end, which gives the dial up. BROKER_REQUESTS_MAX
 * of them wait at a time; then nothing more is read until one is done, and the guest's further
 * requests stay in the socket.
 *
 * A message whose descriptor can't be had is lost (unix(7), MSG_CTRUNC). So there is one in
 * reserve, which is let go for as long as it takes to receive; who can't have it back afterwards
 * answers EMFILE.
 *
 * Whatever a guest has sent, or was given, is closed under the watch of os/stall.h, and so are
 * answers sent: kernels before 6.9 look through what is under way in Unix sockets from within such
 * a call, and close what nobody can reach any more. A guest that makes us wait waits itself:
 * nothing is read from it for a while.
 *
 * A session is freed when its handles and those of its waits are closed.
 */
#include "os/broker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "broker/broker_wire.h"
#include "os/app_ports.h"
#include "os/broker_request.h"
#include "os/name_book.h"
#include "os/network.h"
#include "os/stall.h"

#define BROKER_BATCH 64 /* requests of a session in a turn of the loop */

struct broker {
	struct broker_config config;
	struct outward *outward;
	struct app_ports ports;
	struct network_follower follower;
	uint64_t net;
	int reserve;
	struct stall stall;
	bool said_short;   /* of descriptors; until there are some again */
	unsigned sessions; /* not yet freed */
	bool closing;
	void (*closed)(void *owner);
	void *owner;
};

struct broker_session {
	struct broker *broker;
	struct broker_events events;
	uv_poll_t poll;
	uv_timer_t rest; /* runs while nothing is read because it has made us wait */
	int fd;          /* -1: closed, or its end is */
	bool reading, closed;
	bool has_gate; /* it has asked for a listener */
	bool said_full, said_rest;
	struct list waits;
	size_t wait_count;
	unsigned handles; /* its own and of its waits: not yet closed */
	struct name_book names;
	uint64_t ports; /* bit I: it has the listener at place I of the table's others */
};

/* A request that waits for a dial. */
struct broker_wait {
	struct list link;
	struct broker_session *session;
	struct outward_asker asker;
	uv_poll_t poll; /* tells that the guest has closed its end */
	int fd;
};

static_assert(NETWORK_BIND_PORTS_MAX <= 64, "a bit for each of the table's others");

static void session_read(uv_poll_t *poll, int status, int events);

/* --- the life of a session --- */

static void broker_settle(struct broker *b);

static void session_release(struct broker_session *s)
{
	struct broker *b = s->broker;

	if (--s->handles > 0 || !s->closed)
		return;
	name_book_clear(&s->names);
	free(s);
	b->sessions--;
	broker_settle(b);
}

static void on_session_handle_closed(uv_handle_t *handle)
{
	session_release(handle->data);
}

/* Nothing more is read. */
static void session_shut(struct broker_session *s)
{
	if (s->fd < 0)
		return;
	uv_close((uv_handle_t *)&s->poll, on_session_handle_closed);
	uv_close((uv_handle_t *)&s->rest, on_session_handle_closed);
	(void)stall_close(&s->broker->stall, take_fd(&s->fd));
}

/* Reads, or doesn't, as things stand. */
static void session_go_on(struct broker_session *s)
{
	bool reads = s->wait_count < BROKER_REQUESTS_MAX && !uv_is_active((uv_handle_t *)&s->rest);

	if (s->fd < 0 || s->reading == reads)
		return;
	s->reading = reads;
	if (reads)
		(void)uv_poll_start(&s->poll, UV_READABLE, session_read);
	else
		(void)uv_poll_stop(&s->poll);
}

static void on_rested(uv_timer_t *timer)
{
	session_go_on(timer->data);
}

static void session_rest(struct broker_session *s)
{
	if (s->fd < 0)
		return;
	if (!s->said_rest)
		log_warn("network",
			"the application has sent its broker what takes long to close: its "
			"requests wait");
	s->said_rest = true;
	(void)uv_timer_start(&s->rest, on_rested, STALL_REST_MS, 0);
	session_go_on(s);
}

static void answer(int to, const struct broker_answer *answer, int fd)
{
	int r = broker_answer_send(to, answer, fd);

	/* Too many descriptors of this user's are on their way (unix(7), ETOOMANYREFS). */
	if (r < 0 && fd >= 0)
		(void)broker_answer_send(to, &(struct broker_answer){ .error = EMFILE }, -1);
}

/* Answers with `sent`, if there is an answer, and closes `own`, too; either may be -1. */
static void session_reply(
	struct broker_session *s, int reply, const struct broker_answer *a, int sent, int own)
{
	stall_watch(&s->broker->stall);
	if (a)
		answer(reply, a, sent);
	(void)fd_close(own);
	(void)fd_close(reply);
	if (stall_end(&s->broker->stall))
		session_rest(s);
}

/* --- requests that wait --- */

static void on_wait_poll_closed(uv_handle_t *handle)
{
	struct broker_wait *w = handle->data;
	struct broker_session *s = w->session;

	free(w);
	session_release(s);
}

/* `a` NULL: nobody hears it; `fd`, for the guest, may be -1. */
static void wait_end(struct broker_wait *w, const struct broker_answer *a, int fd)
{
	struct broker_session *s = w->session;

	outward_forget(&w->asker);
	list_remove(&w->link);
	s->wait_count--;
	uv_close((uv_handle_t *)&w->poll, on_wait_poll_closed);
	session_reply(s, take_fd(&w->fd), a, fd, fd);
	session_go_on(s);
}

static void on_guest_gone(uv_poll_t *poll, int status, int events)
{
	wait_end(poll->data, NULL, -1);
}

static void on_answered(struct outward_asker *asker, int error, int fd)
{
	struct broker_wait *w = container_of(asker, struct broker_wait, asker);

	wait_end(w, &(struct broker_answer){ .error = error }, fd);
}

/* Takes *fd over, if it can. */
static int wait_begin(struct broker_session *s, struct broker_wait *w, int *fd)
{
	int r = uv_poll_init(s->broker->config.loop, &w->poll, *fd);

	if (r < 0)
		return r;
	w->poll.data = w;
	w->session = s;
	w->fd = take_fd(fd);
	(void)uv_poll_start(&w->poll, UV_DISCONNECT, on_guest_gone);
	list_push_back(&s->waits, &w->link);
	s->handles++;
	s->wait_count++;
	session_go_on(s);
	return 0;
}

/* --- the operations: 0 or a positive errno, what there is to say in *ret_answer --- */

static struct ipaddr wire_ip(const struct broker_addr *a)
{
	return a->family == BROKER_IPV4 ? ipaddr_from_v4(a->bytes) : ipaddr_from_v6(a->bytes);
}

static struct broker_addr wire_addr(const struct ipaddr *ip)
{
	struct broker_addr a = { .family = ipaddr_is_v4(ip) ? BROKER_IPV4 : BROKER_IPV6 };

	if (ipaddr_is_v4(ip))
		memcpy(a.bytes, ip->bytes + 12, 4);
	else
		memcpy(a.bytes, ip->bytes, sizeof a.bytes);
	return a;
}

static void answer_addr(struct broker_answer *a, uint8_t wanted, struct broker_addr addr)
{
	if (wanted == BROKER_ANY || wanted == addr.family)
		a->addrs[a->count++] = addr;
}

static int resolve_name(struct broker_session *s, const char *name, uint8_t family,
	struct broker_answer *ret_answer)
{
	struct network_verdict verdict;
	int number;

	if (!network_judge_name(s->broker->config.network, name, &verdict))
		return ENOENT;
	number = name_book_add(&s->names, name);
	if (number == -ENOSPC && !s->said_full) {
		s->said_full = true;
		log_warn("network",
			"the application has asked for more than %d names: further ones have no "
			"addresses before it is started again",
			NAME_BOOK_MAX);
	}
	if (number < 0)
		return ENOMEM;
	/* One is enough: it is the name that is dialled, by whatever addresses it has then. */
	if (family == BROKER_ANY)
		family = BROKER_IPV4;
	answer_addr(ret_answer, family, name_book_addr(&s->names, number, family));
	return 0;
}

static int op_resolve(
	struct broker_session *s, const struct broker_request *r, struct broker_answer *ret_answer)
{
	struct broker_addr v4 = { .family = BROKER_IPV4, .bytes = { 127, 0, 0, 1 } };
	struct broker_addr v6 = { .family = BROKER_IPV6, .bytes = { [15] = 1 } };
	char why[DESTINATION_WHY_MAX];
	struct destination d;

	/* Whatever port it is to be. */
	if (destination_parse(r->name, 1, &d, why) < 0) {
		network_note_refusal(s->broker->config.network, "look up", r->name, why);
		return ENOENT;
	}
	if (*d.name && !hostname_is_localhost(d.name))
		return resolve_name(s, d.name, r->addr.family, ret_answer);
	if (*d.name) {
		answer_addr(ret_answer, r->addr.family, v4);
		answer_addr(ret_answer, r->addr.family, v6);
	} else {
		answer_addr(ret_answer, r->addr.family, wire_addr(&d.addr));
	}
	return ret_answer->count ? 0 : ENOENT;
}

/* -EINPROGRESS: it waits, and has taken *reply. */
static int op_connect(
	struct broker_session *s, const struct broker_request *r, int *reply, int *ret_fd)
{
	struct ipaddr ip = wire_ip(&r->addr);
	const char *name = name_book_find(&s->names, &ip);
	struct destination to = destination_of_addr(&ip, r->port);
	struct broker_wait *w;
	int result;

	if (!r->port)
		return -ECONNREFUSED;
	if (name) {
		to = (struct destination){ .port = r->port };
		snprintf(to.name, sizeof to.name, "%s", name);
	}
	w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	list_init(&w->link);
	w->asker.answered = on_answered;
	result = outward_connect(s->broker->outward, &to, &w->asker, ret_fd);
	if (result == 0) {
		result = wait_begin(s, w, reply);
		if (result == 0)
			return -EINPROGRESS;
		outward_forget(&w->asker);
	}
	free(w);
	return result;
}

static int op_listen(struct broker_session *s, const struct broker_request *r,
	struct broker_answer *ret_answer, int *ret_fd)
{
	struct app_ports *ports = &s->broker->ports;
	struct network *network = s->broker->config.network;
	char asked[32];
	int at;

	ret_answer->port = r->port ? r->port : ports->gate.host_port;
	if (ports->gate.fd >= 0 && (!s->has_gate || ret_answer->port == ports->gate.port)) {
		s->has_gate = true;
		ports->gate.port = ret_answer->port;
		*ret_fd = ports->gate.fd;
		return 0;
	}
	if (!network_may_bind(network, r->port)) {
		snprintf(asked, sizeof asked, "port %u", r->port);
		network_note_refusal(network, "listen on", asked,
			"it isn't its first port, and not in bind_ports: add it there "
			"(--bind-port)");
		return EACCES;
	}
	at = app_ports_take(ports, r->port);
	if (at < 0)
		return -at;
	*ret_fd = ports->others[at].fd;
	if (s->ports & UINT64_C(1) << at) {
		app_ports_give(ports, at);
		return 0;
	}
	s->ports |= UINT64_C(1) << at;
	log_info("network", "port %u of the application is at 127.0.0.1:%u", r->port,
		ports->others[at].host_port);
	return 0;
}

static int op_datagrams(struct broker_session *s)
{
	network_note_refusal(s->broker->config.network, "use", "UDP",
		"there are no sockets for datagrams: an application reaches others by TCP alone");
	return EACCES;
}

/* Takes `reply` over. */
static void session_serve(struct broker_session *s, const struct broker_request *r, int reply)
{
	struct broker_answer a = { 0 };
	int fd = -1, connected = -1;

	if (r->op == BROKER_RESOLVE) {
		a.error = op_resolve(s, r, &a);
	} else if (r->op == BROKER_LISTEN) {
		a.error = op_listen(s, r, &a, &fd);
	} else if (r->op == BROKER_DATAGRAMS) {
		a.error = op_datagrams(s);
	} else {
		int result = op_connect(s, r, &reply, &connected);

		if (result == -EINPROGRESS)
			return;
		a.error = result < 0 ? -result : 0;
		fd = connected;
	}
	if (a.error)
		a = (struct broker_answer){ .error = a.error };
	session_reply(s, reply, &a, a.error ? -1 : fd, connected);
}

/* --- reading --- */

static void broker_tell_short(struct broker *b)
{
	if (!b->said_short)
		log_warn("network",
			"no descriptors are left for the application's connections: raise the "
			"limit of open files (ulimit -n)");
	b->said_short = true;
}

/* The next request, with the reserve let go meanwhile. */
static enum broker_received session_receive(
	struct broker_session *s, struct broker_request *r, int *ret_reply, const char **ret_why)
{
	struct broker *b = s->broker;
	enum broker_received received;
	bool held;

	b->reserve = fd_close(b->reserve);
	received = broker_request_receive(s->fd, &b->stall, r, ret_reply, ret_why, &held);
	b->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (held)
		session_rest(s);
	if (received == BROKER_RECEIVED_SHORT)
		broker_tell_short(b);
	if (b->reserve >= 0) {
		b->said_short &= received != BROKER_RECEIVED;
	} else if (received == BROKER_RECEIVED) {
		broker_tell_short(b);
		session_reply(s, *ret_reply, &(struct broker_answer){ .error = EMFILE }, -1, -1);
		b->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return BROKER_RECEIVED_SHORT;
	}
	return received;
}

static void session_read(uv_poll_t *poll, int status, int events)
{
	struct broker_session *s = poll->data;
	struct broker_request request;
	enum broker_received received;
	const char *why;
	int reply = -1;

	for (int i = 0; i < BROKER_BATCH && s->reading; i++) {
		received = session_receive(s, &request, &reply, &why);
		if (received == BROKER_RECEIVED) {
			session_serve(s, &request, reply);
		} else if (received == BROKER_RECEIVED_HOSTILE) {
			log_error("network",
				"the application has sent its broker what no client of ours sends "
				"(%s): it is ended",
				why);
			session_shut(s);
			s->events.hostile(s->events.owner, why);
			return;
		} else if (received == BROKER_RECEIVED_END) {
			session_shut(s);
			return;
		} else if (received == BROKER_RECEIVED_NONE) {
			return;
		}
	}
}

/* --- public --- */

int broker_session_open(struct broker *b, const struct broker_events *events,
	struct broker_session **ret_session, int *ret_fd)
{
	int pair[2], r = broker_channel_open(pair);

	if (r < 0)
		return r;
	r = broker_session_adopt(b, events, pair[0], ret_session);
	if (r < 0) {
		(void)fd_close(pair[0]);
		(void)fd_close(pair[1]);
		return r;
	}
	*ret_fd = pair[1];
	return 0;
}

int broker_session_adopt(struct broker *b, const struct broker_events *events, int fd,
	struct broker_session **ret_session)
{
	struct broker_session *s = calloc(1, sizeof *s);
	int r = s ? uv_poll_init(b->config.loop, &s->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(s);
		return r;
	}
	s->broker = b;
	s->events = *events;
	s->poll.data = s;
	(void)uv_timer_init(b->config.loop, &s->rest);
	s->rest.data = s;
	s->fd = fd;
	s->handles = 2;
	s->names.net = b->net;
	list_init(&s->waits);
	session_go_on(s);
	b->sessions++;
	*ret_session = s;
	return 0;
}

struct broker_session *broker_session_close(struct broker_session *s)
{
	if (!s)
		return NULL;
	s->closed = true;
	s->handles++; /* until the end of this function */
	session_shut(s);
	list_for_each_safe(link, &s->waits)
		wait_end(list_entry(link, struct broker_wait, link), NULL, -1);
	for (int at = 0; at < NETWORK_BIND_PORTS_MAX; at++)
		if (s->ports & UINT64_C(1) << at)
			app_ports_give(&s->broker->ports, at);
	session_release(s);
	return NULL;
}

static void on_policy_changed(struct network_follower *follower)
{
	struct broker *b = container_of(follower, struct broker, follower);

	app_ports_limit(&b->ports, b->config.network);
}

int broker_new(const struct broker_config *config, struct broker **ret_broker)
{
	struct broker *b = calloc(1, sizeof *b);
	struct outward_config outward = { .loop = config->loop,
		.pool = config->pool,
		.network = config->network,
		.log = config->log };
	int r;

	if (!b)
		return -ENOMEM;
	r = stall_init(&b->stall);
	if (r < 0) {
		free(b);
		return r;
	}
	outward.ports = &b->ports;
	r = outward_new(&outward, &b->outward);
	if (r < 0) {
		stall_deinit(&b->stall);
		free(b);
		return r;
	}
	b->config = *config;
	b->net = name_book_choose_net();
	b->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	app_ports_init(&b->ports);
	b->follower.changed = on_policy_changed;
	network_follow(config->network, &b->follower);
	*ret_broker = b;
	return 0;
}

struct app_ports *broker_ports(struct broker *b)
{
	return &b->ports;
}

struct outward *broker_outward(struct broker *b)
{
	return b->outward;
}

static void on_outward_closed(void *owner)
{
	struct broker *b = owner;

	app_ports_deinit(&b->ports);
	b->reserve = fd_close(b->reserve);
	stall_deinit(&b->stall);
	b->closed(b->owner);
	free(b);
}

/* Once no session is left. */
static void broker_settle(struct broker *b)
{
	if (b->closing && !b->sessions)
		outward_close(b->outward, on_outward_closed, b);
}

void broker_close(struct broker *b, void (*closed)(void *owner), void *owner)
{
	list_remove(&b->follower.link);
	b->closing = true;
	b->closed = closed;
	b->owner = owner;
	broker_settle(b);
}
