/* SPDX-License-Identifier: MIT */
/*
 * A relay (or an application) that says what a test wants, on the test's own loop and on a port
 * that the kernel chooses. Texts are written with '|' for NUL.
 */
#ifndef TUNNEL_TEST_FAKE_RELAY_H
#define TUNNEL_TEST_FAKE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/chan.h"

#define FAKE_CONNS_MAX 16
#define FAKE_GOT_MAX 2048
#define FAKE_DEADLINE_MS 30000 /* of a test that waits: ten times what any of them needs */

/* What it does with one connection. */
struct fake_script {
	const char *greeting; /* said at once; NULL: nothing */
	const char *answer;   /* said to the first bytes that come; NULL: nothing */
	bool hang_up;         /* behind the answer; at once when there is none */
};

struct fake_conn {
	struct chan chan;
	struct fake_relay *relay;
	const struct fake_script *script;
	bool open, answered, ended;
	size_t got_len;
	char got[FAKE_GOT_MAX + 1];
};

struct fake_relay {
	uv_poll_t poll;
	uv_loop_t *loop;
	int fd;
	uint16_t port;
	const struct fake_script
		*scripts; /* one for each connection, the last one for all that follow */
	size_t script_count;
	unsigned count;
	struct fake_conn conns[FAKE_CONNS_MAX];
};

void fake_relay_open(struct fake_relay *r, uv_loop_t *loop, const struct fake_script *scripts,
	size_t script_count);
void fake_relay_close(struct fake_relay *r);
void fake_conn_say(struct fake_conn *c, const char *text);
void fake_conn_hang_up(struct fake_conn *c);

/* Runs the loop until the condition holds; fails the test at the deadline. */
void fake_run_until(uv_loop_t *loop, bool (*condition)(const void *arg), const void *arg);

/* The same until its connection number `conn` is there and has got `text`. */
void fake_relay_await(const struct fake_relay *r, unsigned conn, const char *text);

/* A port of loopback that refuses connections for as long as the returned descriptor is open. */
int fake_refusing_port(uint16_t *ret_port);

#endif
