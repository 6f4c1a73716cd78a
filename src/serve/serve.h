/* SPDX-License-Identifier: MIT */
/*
 * An HTTP/1.1 server on a listening socket that other processes have as well. The calling thread
 * accepts; a few threads of libmicrohttpd read and write; answers are made on those, or on workers
 * where they take their time.
 *
 * SIGUSR1 drains it: no more connections are taken, requests that have begun are answered, and it
 * is over. The listening socket is neither closed nor shut down by that, so that connections in its
 * queue are another process's. SIGTERM ends the process as it does by default.
 *
 * How long a connection may wait is said in mhd/mhd.h. An answer that is given before all of its
 * request has come ends the connection, and is followed by a lingering close (net/lingering.h).
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stddef.h>
#include <stdint.h>

#define SERVE_CONNS_MAX 512        /* at once; more wait in the listening socket's queue */
#define SERVE_HEAD_MAX 32768       /* of a request, in bytes; 431 beyond it */
#define SERVE_BODY_MAX (10u << 20) /* of a request; 413 beyond it */
#define SERVE_HELD_MAX                                                                        \
	(512u << 20)             /* bodies and replies in memory, all together; 503 beyond it \
				  */
#define SERVE_QUEUE_MS 10000     /* how long a request waits for a worker; then 503 */
#define SERVE_DRAIN_IDLE_MS 1000 /* how long a connection that is kept alive goes on in a drain */

struct serve_request;

/* Answers with one of the serve_reply_*() before it returns. On several threads at a time. */
typedef void (*serve_fn)(void *owner, struct serve_request *request);

struct serve_config {
	int listen_fd; /* borrowed; made non-blocking */
	int status_fd; /* borrowed; gets an empty line when connections are taken, and two more with
			  the first answer (os/instance.h); -1: none */
	serve_fn handler;
	void *owner;
	size_t workers; /* threads for the handler; 0: it never waits, and needs none */
};

/* Holds SIGUSR1 back until serve_run() is there for it. To be called before there is a thread. */
void serve_init(void);

/* Returns 0 after a drain, or a negative errno when it can't begin. */
int serve_run(const struct serve_config *config);

#endif
