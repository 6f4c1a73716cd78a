/* SPDX-License-Identifier: MIT */
/* The limits per address, with a clock of our own: penalties, tunnels, handshakes, what is known of
 * dialects. */
#include "relay/limits.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>

#define MAX_TUNNELS 3
#define MAX_HANDSHAKES 16

static struct addr ip(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse_ip(text, 1, &addr), 0);
	return addr;
}

/* The n-th of many IPv4 addresses. */
static struct addr nth(uint32_t n)
{
	struct addr addr = ip("10.0.0.0");

	addr.in4.sin_addr.s_addr = htonl(0x0a000000 + n);
	return addr;
}

static int setup(void **state)
{
	static struct limits limits;

	assert_int_equal(limits_init(&limits, MAX_TUNNELS, MAX_HANDSHAKES), 0);
	*state = &limits;
	return 0;
}

static int teardown(void **state)
{
	limits_deinit(*state);
	return 0;
}

static void test_penalty_doubles_to_ten_minutes(void **state)
{
	struct limits *l = *state;
	struct addr a = ip("192.0.2.1"), other = ip("192.0.2.2");
	uint64_t now = 1000, penalty = LIMITS_PENALTY_FIRST_MS;

	assert_false(limits_penalised(l, &a, now));
	for (int i = 0; i < 40; i++) {
		limits_bad_secret(l, &a, now);
		assert_true(limits_penalised(l, &a, now));
		assert_true(limits_penalised(l, &a, now + penalty - 1));
		assert_false(limits_penalised(l, &a, now + penalty));
		assert_false(limits_penalised(l, &other, now));
		now += penalty;
		penalty = penalty * 2 > LIMITS_PENALTY_MAX_MS ? LIMITS_PENALTY_MAX_MS : penalty * 2;
	}
	/* A long quiet time, and it starts anew. */
	now += LIMITS_PENALTY_MAX_MS;
	limits_bad_secret(l, &a, now);
	assert_false(limits_penalised(l, &a, now + LIMITS_PENALTY_FIRST_MS));
}

static void test_good_secret_forgives(void **state)
{
	struct limits *l = *state;
	struct addr a = ip("192.0.2.1");

	limits_good_secret(l, &a);
	limits_bad_secret(l, &a, 5);
	limits_good_secret(l, &a);
	assert_false(limits_penalised(l, &a, 5));
	assert_int_equal(l->penalties.count, 0);
}

static void test_penalties_are_bounded(void **state)
{
	struct limits *l = *state;
	struct addr first = nth(0), last = nth(LIMITS_PENALTY_ADDRS);

	for (uint32_t i = 0; i <= LIMITS_PENALTY_ADDRS; i++) {
		struct addr a = nth(i);

		limits_bad_secret(l, &a, 1);
	}
	assert_int_equal(l->penalties.count, LIMITS_PENALTY_ADDRS);
	assert_false(limits_penalised(l, &first, 1)); /* the oldest made room */
	assert_true(limits_penalised(l, &last, 1));
}

static void test_tunnels_per_address(void **state)
{
	struct limits *l = *state;
	struct addr a = ip("2001:db8::1"), neighbour = ip("2001:db8::ffff:2"),
		    other = ip("2001:db8:0:1::1");

	for (int i = 0; i < MAX_TUNNELS; i++)
		assert_true(limits_take_tunnel(l, i % 2 ? &a : &neighbour));
	assert_false(limits_take_tunnel(l, &a));
	assert_false(limits_take_tunnel(l, &neighbour));
	assert_true(limits_take_tunnel(l, &other));
	limits_give_tunnel(l, &neighbour);
	assert_true(limits_take_tunnel(l, &a));
	for (int i = 0; i < MAX_TUNNELS; i++)
		limits_give_tunnel(l, &a);
	limits_give_tunnel(l, &other);
	assert_int_equal(l->tunnels.count, 0);
}

static void test_loopback_is_exempt(void **state)
{
	struct limits *l = *state;
	struct addr a = ip("127.0.0.1");

	for (int i = 0; i < MAX_TUNNELS * 2; i++)
		assert_true(limits_take_tunnel(l, &a));
	limits_bad_secret(l, &a, 1);
	assert_false(limits_penalised(l, &a, 1));
}

static void test_handshakes_are_dropped_early_and_at_the_limit(void **state)
{
	struct limits *l = *state;
	struct addr a = ip("192.0.2.1");
	unsigned dropped = 0;

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(limits_admit(l, &a, MAX_HANDSHAKES / 2 - 1), LIMITS_ADMIT);
		assert_int_equal(limits_admit(l, &a, MAX_HANDSHAKES), LIMITS_DROP);
		dropped += limits_admit(l, &a, MAX_HANDSHAKES * 3 / 4) == LIMITS_DROP;
	}
	/* One in two; the chance to miss these bounds is below 10^-30. */
	assert_in_range(dropped, 300, 700);
}

static void test_tunnel_holders_get_through(void **state)
{
	struct limits *l = *state;
	struct addr a = ip("192.0.2.1");

	assert_true(limits_take_tunnel(l, &a));
	for (uint32_t open = 0; open < MAX_HANDSHAKES; open++)
		assert_int_equal(limits_admit(l, &a, open), LIMITS_ADMIT);
	assert_int_equal(limits_admit(l, &a, MAX_HANDSHAKES), LIMITS_EVICT);
}

static void test_known_dialects_expire_and_are_bounded(void **state)
{
	struct limits *l = *state;
	struct addr a = ip("192.0.2.1"), first = nth(0);

	limits_learn_dialect(l, &a, false, 1);
	assert_false(limits_speaks_json(l, &a, 1));
	limits_learn_dialect(l, &a, true, 1);
	assert_true(limits_speaks_json(l, &a, LIMITS_JSON_MS));
	assert_false(limits_speaks_json(l, &a, LIMITS_JSON_MS + 1));
	limits_learn_dialect(l, &a, false, 2);
	assert_false(limits_speaks_json(l, &a, 2));
	for (uint32_t i = 0; i <= LIMITS_JSON_ADDRS; i++) {
		struct addr n = nth(i);

		limits_learn_dialect(l, &n, true, 1);
	}
	assert_int_equal(l->json.count, LIMITS_JSON_ADDRS);
	assert_false(limits_speaks_json(l, &first, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_penalty_doubles_to_ten_minutes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_good_secret_forgives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_penalties_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tunnels_per_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loopback_is_exempt, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_handshakes_are_dropped_early_and_at_the_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tunnel_holders_get_through, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_known_dialects_expire_and_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
