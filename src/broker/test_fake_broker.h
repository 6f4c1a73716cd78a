/* SPDX-License-Identifier: MIT */
/* The supervisor's side for the tests of the guest's: a thread that answers, well or badly. */
#ifndef BROKER_TEST_FAKE_BROKER_H
#define BROKER_TEST_FAKE_BROKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/broker_client.h"

#define FAKE_NAME "allowed.test" /* 198.18.0.1 and fd00::1: this loopback */
#define FAKE_IPV4 0xc6120001u
#define FAKE_GATE 9000 /* these two may be listened on */
#define FAKE_PORT 9001

/* Where an answer has no descriptor. */
#define FAKE_NO_FD (-1)
#define FAKE_SILENCE (-2) /* and there is no answer until fake_broker_stop() */

/* Fills the answer, which is of zeros; returns the descriptor that goes along and is closed
 * then, or one of the above. */
typedef int (*fake_answer_fn)(const struct broker_request *request, struct broker_answer *answer);

struct fake_broker {
	struct broker_client client; /* the guest's side; its descriptor is the fake's */
	int fd;
	fake_answer_fn answer;
	size_t answer_size;   /* bytes of it that are sent */
	unsigned fds;         /* how often the descriptor is sent */
	int silent_fd;        /* where somebody waits */
	atomic_uint requests; /* that have come */
	pthread_t thread;
};

/* A broker as it should be. */
int fake_broker_serve(const struct broker_request *request, struct broker_answer *answer);

/* Of a pair that was made elsewhere. */
void fake_broker_start_at(
	struct fake_broker *b, int take_client_fd, int take_fd, fake_answer_fn answer);
void fake_broker_start(struct fake_broker *b, fake_answer_fn answer);
/* Its end is closed, as when the supervisor has died; fake_broker_stop() is still to be called. */
void fake_broker_die(struct fake_broker *b);
void fake_broker_stop(struct fake_broker *b);

#endif
