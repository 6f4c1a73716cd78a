/* SPDX-License-Identifier: MIT */
/*
 * A destination and the addresses of its name.
 *
 * The first dial that needs the addresses puts the question; dials that come while it is under way
 * wait for the same answer. The answer is learned first and then told to each of them. A wait also
 * ends by dialer_leave(), when its dial is cancelled or has run out of time.
 *
 * A question runs on libuv's thread pool and can't be ended once it runs. So it lives in memory of
 * its own: when its last waiter leaves, the dialer forgets it, and its answer is dropped when it
 * comes. That is also why a dialer without dials owns nothing that has to be closed.
 *
 * Of dialers that share a lane DIALER_LANE_MAX questions run at a time, and the next one begins
 * with the answer to one, forgotten or not: a thread that waits for a resolver is what the lane is
 * about. So a lane is freed when nobody has it and no question of it runs.
 */
#include "net/dialer.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"

struct dialer_question {
	uv_getaddrinfo_t req;
	struct dialer *dialer; /* NULL: nobody waits any more */
	struct dialer_lane *lane;
	struct list link; /* in the lane's, until it runs */
	bool runs;
};

struct dialer_lane {
	struct list waiting; /* questions */
	unsigned running;
	bool orphan; /* who has made it has none any more */
};

/* "localhost" and what ends in ".localhost", as one label or with the root's dot behind it. */
static bool dialer_is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t len = strlen(host), own = sizeof(name) - 1;

	if (len && host[len - 1] == '.')
		len--;
	return len >= own && strncasecmp(host + len - own, name, own) == 0 &&
	       (len == own || host[len - own - 1] == '.');
}

int dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *host, uint16_t port)
{
	size_t len = strlen(host);

	if (!len || len >= ADDR_HOST_MAX || !port)
		return -EINVAL;
	*dialer = (struct dialer){ .loop = loop, .port = port };
	list_init(&dialer->waiting);
	memcpy(dialer->host, host, len + 1);
	if (addr_parse_ip(host, port, &dialer->addrs[0]) == 0) {
		dialer->fixed = true;
		dialer->count = 1;
	} else if (dialer_is_localhost(host)) {
		(void)addr_parse_ip("::1", port, &dialer->addrs[0]);
		(void)addr_parse_ip("127.0.0.1", port, &dialer->addrs[1]);
		dialer->fixed = true;
		dialer->count = 2;
	}
	return 0;
}

void dialer_forget(struct dialer *dialer)
{
	if (!dialer->fixed)
		dialer->count = 0;
}

void dialer_distrust(struct dialer *dialer, unsigned answer)
{
	if (dialer->answers == answer)
		dialer_forget(dialer);
}

void dialer_prefer(struct dialer *dialer, const struct addr *addr)
{
	for (size_t i = 0; i < dialer->count; i++)
		if (addr_equal(&dialer->addrs[i], addr))
			dialer->preferred = i;
}

size_t dialer_known(const struct dialer *dialer, struct addr ret_addrs[DIALER_ADDRS_MAX])
{
	if (!dialer->fixed && clock_now_ms() - dialer->resolved_ms >= DIALER_CACHE_MS)
		return 0;
	for (size_t i = 0; i < dialer->count; i++)
		ret_addrs[i] = dialer->addrs[(dialer->preferred + i) % dialer->count];
	return dialer->count;
}

/*
 * A resolver sorts one family before the other (RFC 6724), so the families take turns before the
 * list is cut: a name with many IPv6 addresses gets its IPv4 ones tried as well. The address that
 * worked last stays the preferred one as long as the name has it.
 */
static void dialer_learn(struct dialer *dialer, const struct addrinfo *info)
{
	struct addr last = dialer->addrs[dialer->preferred], addr, found[2 * DIALER_ADDRS_MAX];
	size_t count = 0, of_family[2] = { 0 };
	bool worked = dialer->count > 0;

	for (; info; info = info->ai_next) {
		if (addr_from_sockaddr(info->ai_addr, &addr) < 0 ||
			of_family[addr.sa.sa_family == AF_INET6]++ >= DIALER_ADDRS_MAX)
			continue;
		addr_set_port(&addr, dialer->port);
		found[count++] = addr;
	}
	addr_interleave(found, count);
	dialer->count = min_u64(count, DIALER_ADDRS_MAX);
	memcpy(dialer->addrs, found, dialer->count * sizeof(*found));
	dialer->preferred = 0;
	if (worked)
		dialer_prefer(dialer, &last);
	dialer->resolved_ms = clock_now_ms();
	dialer->answers++;
}

static void dialer_tell(struct dialer *dialer, int status)
{
	struct list told, *first;

	/* Who asks again from the call waits for another answer. */
	list_init(&told);
	list_move_all(&told, &dialer->waiting);
	while ((first = list_first(&told))) {
		struct dialer_wait *w = list_entry(first, struct dialer_wait, link);

		list_remove(first);
		w->resolved(w, status);
	}
}

static int question_run(struct dialer_question *question);

/* One has been answered. The next that can be put is. */
static void lane_go_on(struct dialer_lane *lane)
{
	struct list *first;

	lane->running--;
	while (lane->running < DIALER_LANE_MAX && (first = list_first(&lane->waiting))) {
		struct dialer_question *question = list_entry(first, struct dialer_question, link);
		struct dialer *dialer = question->dialer;
		int r;

		list_remove(first);
		r = question_run(question);
		if (r == 0)
			continue;
		free(question);
		dialer->question = NULL;
		dialer_tell(dialer, r);
	}
	if (lane->orphan && !lane->running)
		free(lane);
}

static void dialer_on_answer(uv_getaddrinfo_t *req, int status, struct addrinfo *info)
{
	struct dialer_question *question = container_of(req, struct dialer_question, req);
	struct dialer *dialer = question->dialer;
	struct dialer_lane *lane = question->lane;

	free(question);
	if (dialer) {
		dialer->question = NULL;
		if (status == 0)
			dialer_learn(dialer, info);
		if (status == 0 && !dialer->count)
			status = UV_EAI_NODATA;
		dialer_tell(dialer, status);
	}
	uv_freeaddrinfo(info);
	if (lane)
		lane_go_on(lane);
}

static int question_run(struct dialer_question *question)
{
	/* No AI_ADDRCONFIG: without an address but loopback's it would hide those of /etc/hosts. */
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct dialer *dialer = question->dialer;
	int r = uv_getaddrinfo(
		dialer->loop, &question->req, dialer_on_answer, dialer->host, NULL, &hints);

	question->runs = r == 0;
	if (r == 0 && question->lane)
		question->lane->running++;
	return r;
}

static int dialer_put_question(struct dialer *dialer)
{
	struct dialer_question *question = calloc(1, sizeof(*question));
	int r = 0;

	if (!question)
		return -ENOMEM;
	question->dialer = dialer;
	question->lane = dialer->lane;
	list_init(&question->link);
	if (question->lane && question->lane->running >= DIALER_LANE_MAX)
		list_push_back(&question->lane->waiting, &question->link);
	else
		r = question_run(question);
	if (r < 0) {
		free(question);
		return r;
	}
	dialer->question = question;
	return 0;
}

int dialer_ask(struct dialer *dialer, struct dialer_wait *w)
{
	int r = dialer->question ? 0 : dialer_put_question(dialer);

	if (r == 0)
		list_push_back(&dialer->waiting, &w->link);
	return r;
}

void dialer_leave(struct dialer *dialer, struct dialer_wait *w)
{
	struct dialer_question *question = dialer->question;

	list_remove(&w->link);
	if (!question || !list_empty(&dialer->waiting))
		return;
	dialer->question = NULL;
	question->dialer = NULL;
	if (question->runs) {
		(void)uv_cancel((uv_req_t *)&question->req); /* works while no thread has it */
	} else {
		list_remove(&question->link);
		free(question);
	}
}

struct dialer_lane *dialer_lane_new(void)
{
	struct dialer_lane *lane = calloc(1, sizeof(*lane));

	if (lane)
		list_init(&lane->waiting);
	return lane;
}

struct dialer_lane *dialer_lane_free(struct dialer_lane *lane)
{
	if (lane && !lane->running)
		free(lane);
	else if (lane)
		lane->orphan = true;
	return NULL;
}
