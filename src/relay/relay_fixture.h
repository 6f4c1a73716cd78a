/* SPDX-License-Identifier: MIT */
/*
 * For the tests: a whole relay on a loop, with clients and visitors that are plain sockets of the
 * same thread. Whenever one of them waits, the loop runs.
 */
#ifndef RELAY_FIXTURE_H
#define RELAY_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/secret.h"
#include "base/uuid.h"
#include "relay/relay.h"

#define DEADLINE_MS 30000
#define EVENTS_MAX 64

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline, tick;
	struct pump_pool_config pool_config;
	struct pump_pool *pool;
	struct relay *relay;
	struct relay_config config;
	struct secret secret;
	struct addr addr;
	enum relay_event_type events[EVENTS_MAX];
	unsigned event_count, drained;
	bool closed;
	char why[128]; /* of the last event that had one */
};

/* A client's connection, or a visitor. */
struct peer {
	int fd;
	size_t len;
	char data[8192]; /* what came */
};

/* For cmocka: *state is a struct fixture with a configuration, to be changed before start(). */
int setup(void **state);
int teardown(void **state);

/* Starts the relay; a secret or NULL. */
void start(struct fixture *f, const char *secret);
/* For relay_close(): sets `closed`. */
void on_closed(void *owner);
/* One turn of the loop. */
void run(struct fixture *f);

struct peer connect_port(struct fixture *f, uint16_t port);
struct peer connect_control(struct fixture *f);
void disconnect(struct peer *p);

/* A frame with the NUL of its literal. */
#define say(p, frame) say_bytes(p, frame, sizeof(frame))
void say_bytes(struct peer *p, const char *data, size_t len);
/* A frame with an id or a token in its middle, and what comes behind its NUL. */
void say_with(
	struct peer *p, const char *head, const char *id, const char *tail, const char *behind);

/* More bytes in p->data; 0 at the end. */
ssize_t await_bytes(struct fixture *f, struct peer *p);
void await_end(struct fixture *f, struct peer *p);
/* The relay says this Error, and closes. */
void await_refusal(struct fixture *f, struct peer *p, const char *error);
/* All that has come, and nothing else. */
void expect_text(struct fixture *f, struct peer *p, const char *text);

/* The next frame that is no heartbeat. */
void await_frame(struct fixture *f, struct peer *p, char ret_frame[512]);
void expect_frame(struct fixture *f, struct peer *p, const char *frame);
/* The relay's Options for warm connections, behind what stands before them there ("" or
 * "\"beat\":5000,"). Returns how many are granted. */
unsigned await_ready(
	struct fixture *f, struct peer *p, const char *before, char ret_key[UUID_TEXT_LEN + 1]);
uint16_t await_hello(struct fixture *f, struct peer *p);
void await_connection(struct fixture *f, struct peer *p, char ret_id[UUID_TEXT_LEN + 1]);
void await_token(struct fixture *f, struct peer *p, char ret_token[33]);

void say_hello(struct peer *p, uint16_t port);
/* A client with a tunnel on a port of the relay's choice; and one of ours, which may resume it. */
struct peer open_tunnel(struct fixture *f, uint16_t *ret_port);
struct peer open_tunnel_with_token(struct fixture *f, uint16_t *ret_port, char ret_token[33]);

/* A visitor, of whom the client is told. */
struct peer visit(
	struct fixture *f, struct peer *client, uint16_t port, char ret_id[UUID_TEXT_LEN + 1]);
/* The client's data connection for him; a byte has come through. */
struct peer join(struct fixture *f, const char *id, struct peer *visitor);
unsigned count_events(const struct fixture *f, enum relay_event_type type);

#endif
