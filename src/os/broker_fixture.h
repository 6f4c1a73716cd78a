/* SPDX-License-Identifier: MIT */
/* For the tests of the broker: one with a policy, and a guest that speaks the wire by hand. */
#ifndef OS_BROKER_FIXTURE_H
#define OS_BROKER_FIXTURE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/broker_wire.h"
#include "net/pump_pool.h"
#include "os/broker.h"
#include "os/conn_log.h"
#include "os/network.h"

#define DEADLINE_MS 20000

struct guest {
	struct broker_session *session;
	int fd; /* its end */
	unsigned hostile;
	char why[128];
};

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline, tick;
	struct pump_pool *pool;
	struct log_ring *ring;
	struct network *network;
	struct conn_log log;
	struct conn last; /* that has ended */
	unsigned opened, ended;
	struct broker *broker;
	struct guest guest;
	int gate; /* a listener in its place */
	uint16_t gate_port;
	bool closed;
};

#define RULES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_RULES ((const char *const[]){ NULL })

/* With a policy of these rules, NULL at the end. */
void fixture_open(struct fixture *f, const char *const *allow, const struct network_limits *limits);
void fixture_close(struct fixture *f);
/* Another policy holds. */
void fixture_allow(
	struct fixture *f, const char *const *allow, const struct network_limits *limits);

extern const struct network_limits fixture_limits;

/* Runs the loop meanwhile; the test fails when DEADLINE_MS are over. */
#define WAIT_UNTIL(f, condition)         \
	do {                             \
		fixture_arm(f);          \
		while (!(condition))     \
			fixture_turn(f); \
	} while (0)
void fixture_arm(struct fixture *f);
void fixture_turn(struct fixture *f);

/* --- the guest --- */

void guest_open(struct fixture *f, struct guest *g);
void guest_close(struct guest *g);

struct broker_request request_resolve(const char *name, enum broker_family family);
struct broker_request request_connect(const char *ip, uint16_t port);
struct broker_request request_listen(uint16_t port);
struct broker_request request_datagrams(void);

/* Sends as it is, with these descriptors. */
void guest_send(struct guest *g, const void *data, size_t len, const int *fds, size_t count);
/* The socket that the answer comes on. */
int guest_ask(struct guest *g, const struct broker_request *r);
/* Whether it is there. */
bool has_answer(int reply);
/* The answer's errno, and what came with it; closes `reply`. */
int take_answer(int reply, struct broker_answer *ret_answer, int *ret_fd);
/* All of that, with the loop run meanwhile. */
int guest_call(struct fixture *f, struct guest *g, const struct broker_request *r,
	struct broker_answer *ret_answer, int *ret_fd);

/* --- destinations --- */

/* On 127.0.0.1. `silent`: it lets nobody in, and refuses nobody. */
int server_open(uint16_t *ret_port);
struct silent {
	int fd, fillers[8];
	uint16_t port;
};
void silent_open(struct silent *s);
void silent_close(struct silent *s);

bool is_readable(int fd);

#endif
