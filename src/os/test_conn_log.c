/* SPDX-License-Identifier: MIT */
/* What the connection log keeps, tells and says of a connection. */
#include "os/conn_log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/flow.h"
#include "tunnel/tunnel.h"

struct told {
	unsigned opened, ended;
	struct conn last;
};

static void on_changed(void *owner, const struct conn *conn)
{
	struct told *told = owner;

	told->opened += conn->open;
	told->ended += !conn->open;
	told->last = *conn;
}

static int log_open(void **state)
{
	static struct told told;
	static struct conn_log log;

	told = (struct told){ 0 };
	*state = &log;
	return conn_log_init(&log, on_changed, &told);
}

static int log_close(void **state)
{
	conn_log_deinit(*state);
	return 0;
}

struct listed {
	size_t count;
	struct conn conns[CONN_LOG_MAX + 1];
};

static void on_listed(void *owner, const struct conn *conn)
{
	struct listed *listed = owner;

	assert_true(listed->count < CONN_LOG_MAX + 1);
	listed->conns[listed->count++] = *conn;
}

static const struct listed *list(struct conn_log *log)
{
	static struct listed listed;

	listed.count = 0;
	conn_log_each(log, on_listed, &listed);
	return &listed;
}

/* Turned away: it was never open. */
static void visit_turned_away(struct conn_log *log, const char *id, uint64_t bytes, const char *why)
{
	void *note = NULL;

	conn_log_visit(log,
		&(struct tunnel_visit){ .id = id, .bytes_in = bytes, .why = why, .note = &note });
	assert_null(note);
}

static void test_newest_first(void **state)
{
	struct conn_log *log = *state;
	const struct listed *listed = list(log);

	assert_int_equal(listed->count, 0);
	visit_turned_away(log, "1", 1, "closed");
	visit_turned_away(log, "2", 2, "reset by the application");
	listed = list(log);
	assert_int_equal(listed->count, 2);
	assert_string_equal(listed->conns[0].id, "2");
	assert_string_equal(listed->conns[1].id, "1");
	assert_string_equal(listed->conns[1].why, "closed");
	assert_int_equal(listed->conns[1].bytes_in, 1);
}

static void test_only_the_last(void **state)
{
	struct conn_log *log = *state;
	const struct listed *listed;
	struct told *told = log->owner;

	for (uint64_t i = 1; i <= CONN_LOG_MAX + 10; i++)
		visit_turned_away(log, "id", i, "closed");
	assert_int_equal(told->ended, CONN_LOG_MAX + 10);
	listed = list(log);
	assert_int_equal(listed->count, CONN_LOG_MAX);
	assert_int_equal(listed->conns[0].bytes_in, CONN_LOG_MAX + 10);
	assert_int_equal(listed->conns[CONN_LOG_MAX - 1].bytes_in, 11);
}

/* One who came before isn't it, however many bytes he has sent. */
static void test_visitor_is_known_again(void **state)
{
	struct conn_log *log = *state;
	uint64_t now_ms = clock_wall_ms();

	assert_false(conn_log_has_visitor(log, "192.0.2.1:1", 5, now_ms));
	visit_turned_away(log, "1", 5, "closed");
	assert_true(conn_log_has_visitor(log, "192.0.2.1:1", 5, now_ms));
	assert_false(conn_log_has_visitor(log, "192.0.2.1:1", 6, now_ms));
	assert_false(conn_log_has_visitor(log, "192.0.2.1:1", 5, now_ms + 60000));
}

/* What reads as ours is cut, and what isn't text is text in the end. */
static void test_texts(void **state)
{
	struct conn_log *log = *state;
	char why[4 * CONN_WHY_MAX];
	struct conn odd = { .kind = CONN_OUTWARD, .to = "a\xff\"\n\x1b[2J:1" };
	struct told *told = log->owner;
	json_t *json;
	char *text;

	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	visit_turned_away(log, "1", 0, why);
	assert_int_equal(strlen(told->last.why), CONN_WHY_MAX - 1);
	conn_log_refused(log, &odd, "refused by the rule");
	json = conn_json(&told->last);
	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
	assert_non_null(strstr(text, "\"to\":\"a\\uFFFD\\\"\\n\\u001B[2J:1\""));
	free(text);
	json_decref(json);
}

/* A refusal has an id, a time and no bytes. */
static void test_refused(void **state)
{
	struct conn_log *log = *state;
	struct conn conn = { .kind = CONN_OUTWARD, .to = "example.com:443", .rule = "*:443" };
	struct told *told = log->owner;
	json_t *json;

	conn_log_refused(log, &conn, "denied");
	assert_int_equal(told->opened, 0);
	assert_int_equal(told->ended, 1);
	assert_int_equal(strlen(told->last.id), UUID_TEXT_LEN);
	json = conn_json(&told->last);
	assert_string_equal(json_string_value(json_object_get(json, "kind")), "outward");
	assert_string_equal(json_string_value(json_object_get(json, "to")), "example.com:443");
	assert_string_equal(json_string_value(json_object_get(json, "rule")), "*:443");
	assert_string_equal(json_string_value(json_object_get(json, "end")), "denied");
	assert_true(json_is_null(json_object_get(json, "from")));
	assert_true(json_is_false(json_object_get(json, "open")));
	assert_true(json_integer_value(json_object_get(json, "since")) > 0);
	json_decref(json);
}

/* In is towards the application, whoever has begun. */
static void test_directions(void **state)
{
	static const struct {
		enum conn_kind kind;
		uint64_t in, out;
	} table[] = { { CONN_TUNNEL, 3, 5 }, { CONN_FORWARD, 3, 5 }, { CONN_OUTWARD, 5, 3 } };
	const struct flow_result result = {
		.why = "closed", .bytes = { [PUMP_OUTER] = 3, [PUMP_INNER] = 5 }, .duration_ms = 7
	};
	struct conn_log *log = *state;
	struct told *told = log->owner;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct conn conn = { .kind = table[i].kind };

		conn_log_ended(log, &conn, &result);
		assert_int_equal(told->last.bytes_in, table[i].in);
		assert_int_equal(told->last.bytes_out, table[i].out);
		assert_int_equal(told->last.duration_ms, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_newest_first, log_open, log_close),
		cmocka_unit_test_setup_teardown(test_visitor_is_known_again, log_open, log_close),
		cmocka_unit_test_setup_teardown(test_only_the_last, log_open, log_close),
		cmocka_unit_test_setup_teardown(test_texts, log_open, log_close),
		cmocka_unit_test_setup_teardown(test_refused, log_open, log_close),
		cmocka_unit_test_setup_teardown(test_directions, log_open, log_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
