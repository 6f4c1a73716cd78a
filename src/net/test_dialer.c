/* SPDX-License-Identifier: MIT */
/* The addresses of a name, from a resolver that counts the questions and answers when told to. */
#include "net/dialer.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <assert.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "base/lang.h"
#include "net/dial.h"
#include "net/listener.h"

#define DIALS 3
#define QUESTIONS_MAX 5

struct question {
	uv_getaddrinfo_t *req;
	uv_getaddrinfo_cb answer;
};

struct fixture {
	uv_loop_t loop;
	struct dialer dialer;
	struct dial dials[DIALS];
	struct addr listen_addr;
	int listen_fd;
	unsigned connected, failed, cancelled;
	int error;
};

static struct question questions[QUESTIONS_MAX];
static unsigned asked;

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
	const char *node, const char *service, const struct addrinfo *hints);
void __wrap_uv_freeaddrinfo(struct addrinfo *info);

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
	const char *node, const char *service, const struct addrinfo *hints)
{
	assert_string_equal(node, "app.example");
	assert_true(asked < QUESTIONS_MAX);
	questions[asked++] = (struct question){ .req = req, .answer = cb };
	return 0;
}

void __wrap_uv_freeaddrinfo(struct addrinfo *info)
{
}

static void answer_with(unsigned question, int status, const struct addr *addrs, size_t count)
{
	struct addrinfo info[2 * DIALER_ADDRS_MAX] = { 0 };
	struct addr copies[ARRAY_LEN(info)];

	assert_true(count <= ARRAY_LEN(info));
	for (size_t i = 0; i < count; i++) {
		copies[i] = addrs[i];
		info[i].ai_addr = &copies[i].sa;
		info[i].ai_next = i + 1 < count ? &info[i + 1] : NULL;
	}
	questions[question].answer(questions[question].req, status, count ? info : NULL);
}

static void on_done(struct dial *d, int fd, int error, bool resolving, const struct addr *peer)
{
	struct fixture *f = d->owner;

	f->connected += fd >= 0;
	f->failed += fd < 0 && resolving;
	f->error = error;
	fd_close(fd);
}

static void on_cancelled(struct dial *d)
{
	((struct fixture *)d->owner)->cancelled++;
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	asked = 0;
	assert_int_equal(uv_loop_init(&f.loop), 0);
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &f.listen_addr), 0);
	assert_int_equal(listener_socket(&f.listen_addr, 16, &f.listen_fd), 0);
	assert_int_equal(
		dialer_init(&f.dialer, &f.loop, "app.example", addr_port(&f.listen_addr)), 0);
	for (size_t i = 0; i < DIALS; i++) {
		f.dials[i].owner = &f;
		f.dials[i].done = on_done;
		f.dials[i].cancelled = on_cancelled;
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fd_close(f->listen_fd);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	return 0;
}

static void start_dials(struct fixture *f, size_t count)
{
	int fd;

	for (size_t i = 0; i < count; i++)
		assert_int_equal(dial_start(&f->dials[i], &f->dialer, &fd), 0);
}

/* Each visitor of an application whose name had just failed put a question of his own. */
static void test_dials_at_the_same_time_ask_once(void **state)
{
	struct fixture *f = *state;
	int fd = -1;

	start_dials(f, DIALS);
	assert_int_equal(asked, 1);
	answer_with(0, 0, &f->listen_addr, 1);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->connected, DIALS);
	assert_int_equal(dial_start(&f->dials[0], &f->dialer, &fd), 1);
	fd_close(fd);
	assert_int_equal(asked, 1);
}

static void test_failure_is_told_to_all(void **state)
{
	struct fixture *f = *state;

	start_dials(f, DIALS);
	answer_with(0, UV_EAI_NONAME, NULL, 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->failed, DIALS);
	assert_int_equal(f->error, UV_EAI_NONAME);
	start_dials(f, 1);
	assert_int_equal(asked, 2);
	answer_with(1, 0, NULL, 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->error, UV_EAI_NODATA);
}

static void test_who_leaves_takes_nothing_from_the_others(void **state)
{
	struct fixture *f = *state;

	start_dials(f, 2);
	dial_cancel(&f->dials[0]); /* whose question it was */
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->cancelled, 1);
	answer_with(0, 0, &f->listen_addr, 1);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->connected, 1);
	assert_int_equal(f->cancelled, 1);
}

/* A question that nobody waits for any more may hang for long: the next dial puts a new one, and
 * the old answer changes nothing. */
static void test_question_is_left_behind_by_the_last(void **state)
{
	struct fixture *f = *state;

	start_dials(f, 2);
	dial_cancel(&f->dials[0]);
	dial_cancel(&f->dials[1]);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->cancelled, 2);
	start_dials(f, 1);
	assert_int_equal(asked, 2);
	answer_with(0, UV_EAI_CANCELED, NULL, 0);
	answer_with(1, 0, &f->listen_addr, 1);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->connected, 1);
}

struct asker {
	struct dialer_wait wait;
	struct dialer *dialer;
	unsigned told;
};

static void on_told(struct dialer_wait *w, int status)
{
	struct asker *a = container_of(w, struct asker, wait);

	if (a->told++ == 0)
		assert_int_equal(dialer_ask(a->dialer, w), 0);
}

/* Who asked again from the call was told the same answer again, and his question had no waiter. */
static void test_who_asks_again_waits_for_another_answer(void **state)
{
	struct fixture *f = *state;
	struct asker a = { .wait.resolved = on_told, .dialer = &f->dialer };

	assert_int_equal(dialer_ask(&f->dialer, &a.wait), 0);
	answer_with(0, UV_EAI_NONAME, NULL, 0);
	assert_int_equal(a.told, 1);
	assert_int_equal(asked, 2);
	answer_with(1, 0, &f->listen_addr, 1);
	assert_int_equal(a.told, 2);
	assert_int_equal(asked, 2);
}

/* A dial that fails late has used an answer that may not be the last one. */
static void test_old_failure_spares_a_new_answer(void **state)
{
	struct fixture *f = *state;
	struct addr known[DIALER_ADDRS_MAX];

	start_dials(f, 1);
	answer_with(0, 0, &f->listen_addr, 1);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	dialer_distrust(&f->dialer, f->dials[0].answer - 1);
	assert_int_equal(dialer_known(&f->dialer, known), 1);
	dialer_distrust(&f->dialer, f->dials[0].answer);
	assert_int_equal(dialer_known(&f->dialer, known), 0);
}

/* A name with sixteen IPv6 addresses never had an IPv4 one tried: the list was cut before the
 * families took turns. */
static void test_families_take_turns_before_the_cut(void **state)
{
	struct fixture *f = *state;
	struct addr addrs[DIALER_ADDRS_MAX + 2], known[DIALER_ADDRS_MAX];
	size_t v4 = 0;

	for (size_t i = 0; i < DIALER_ADDRS_MAX; i++) {
		assert_int_equal(addr_parse_ip("2001:db8::", 0, &addrs[i]), 0);
		addrs[i].in6.sin6_addr.s6_addr[15] = (uint8_t)i;
	}
	assert_int_equal(addr_parse_ip("192.0.2.1", 0, &addrs[DIALER_ADDRS_MAX]), 0);
	assert_int_equal(addr_parse_ip("192.0.2.2", 0, &addrs[DIALER_ADDRS_MAX + 1]), 0);
	start_dials(f, 1);
	answer_with(0, 0, addrs, ARRAY_LEN(addrs));
	assert_int_equal(dialer_known(&f->dialer, known), DIALER_ADDRS_MAX);
	for (size_t i = 0; i < DIALER_ADDRS_MAX; i++)
		v4 += known[i].sa.sa_family == AF_INET;
	assert_int_equal(v4, 2);
	assert_int_equal(known[1].sa.sa_family, AF_INET);
	assert_int_equal(known[3].sa.sa_family, AF_INET);
	dial_cancel(&f->dials[0]);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- lanes --- */

struct lane_user {
	struct dialer dialer;
	struct dialer_wait wait;
	unsigned told;
	int status;
};

static void on_lane_resolved(struct dialer_wait *w, int status)
{
	struct lane_user *a = container_of(w, struct lane_user, wait);

	a->told++;
	a->status = status;
}

static void lane_user_start(struct lane_user *a, uv_loop_t *loop, struct dialer_lane *lane)
{
	*a = (struct lane_user){ .wait.resolved = on_lane_resolved };
	assert_int_equal(dialer_init(&a->dialer, loop, "app.example", 80), 0);
	a->dialer.lane = lane;
	assert_int_equal(dialer_ask(&a->dialer, &a->wait), 0);
}

/* DIALER_LANE_MAX questions of a lane run, whatever becomes of who has put them; others don't wait
 * for it. */
static void test_lane(void **state)
{
	struct dialer_lane *lane = dialer_lane_new();
	struct lane_user in[5], outside;
	struct addr addr;
	uv_loop_t loop;

	static_assert(DIALER_LANE_MAX == 2, "what is counted below");
	asked = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(addr_parse_ip("192.0.2.1", 80, &addr), 0);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		lane_user_start(&in[i], &loop, lane);
	assert_int_equal(asked, 2);
	lane_user_start(&outside, &loop, NULL);
	assert_int_equal(asked, 3);
	/* Who hasn't had his turn leaves; and one whose question runs, which runs on. */
	dialer_leave(&in[2].dialer, &in[2].wait);
	dialer_leave(&in[0].dialer, &in[0].wait);
	assert_int_equal(asked, 3);
	answer_with(0, UV_ECANCELED, NULL, 0);
	assert_int_equal(in[0].told + in[2].told, 0);
	assert_int_equal(asked, 4);
	answer_with(3, 0, &addr, 1);
	assert_int_equal(in[3].told, 1);
	assert_int_equal(in[3].status, 0);
	assert_int_equal(asked, 5);
	/* The lane goes when the last answer comes. */
	dialer_leave(&in[4].dialer, &in[4].wait);
	dialer_leave(&in[1].dialer, &in[1].wait);
	dialer_lane_free(lane);
	answer_with(1, UV_ECANCELED, NULL, 0);
	answer_with(4, UV_ECANCELED, NULL, 0);
	answer_with(2, 0, &addr, 1);
	assert_int_equal(outside.told, 1);
	assert_int_equal(in[1].told + in[4].told, 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_dials_at_the_same_time_ask_once),
		CASE(test_failure_is_told_to_all),
		CASE(test_who_leaves_takes_nothing_from_the_others),
		CASE(test_question_is_left_behind_by_the_last),
		CASE(test_who_asks_again_waits_for_another_answer),
		CASE(test_old_failure_spares_a_new_answer),
		CASE(test_families_take_turns_before_the_cut),
		cmocka_unit_test(test_lane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
