/* SPDX-License-Identifier: MIT */
/*
 * Whether the public URL works: it is asked once, from here, as a visitor would ask it, and what
 * was seen is said in words.
 *
 * The owner knows the request again among the visitors that arrive: by the address that it comes
 * from, where the relay tells that, or by its length, which is random. So nobody has to look into a
 * connection, and it works with any relay.
 */
#ifndef TUNNEL_REACH_H
#define TUNNEL_REACH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"

#define REACH_TIMEOUT_MS 5000 /* from the name's question to the first line of the answer */
#define REACH_TEXT_MAX 512

struct ask;

enum reach_outcome {
	REACH_WORKS,       /* the application has answered */
	REACH_REFUSED,     /* nothing listens there */
	REACH_SILENT,      /* no connection in time */
	REACH_UNANSWERED,  /* a connection, and no answer */
	REACH_OTHER,       /* somebody else has answered */
	REACH_UNRESOLVED,  /* the name has no address */
	REACH_UNREACHABLE, /* it can't be connected for another reason */
	REACH_OUTCOMES,
};

/* The words of the API, by number. */
extern const char *const reach_outcome_names[];

struct reach_result {
	enum reach_outcome outcome;
	bool arrived;              /* the request has come to this tunnel */
	unsigned status;           /* of HTTP; 0: no answer, or none of HTTP */
	uint64_t duration_ms;      /* to the outcome */
	uint64_t time_ms;          /* wall clock of that */
	char text[REACH_TEXT_MAX]; /* a sentence or two with cause and remedy */
};

/* By what the request is known again. */
struct reach_mark {
	const char *from;       /* our own end, "ip:port" */
	uint64_t bytes;         /* that it has */
	uint64_t since_wall_ms; /* it hasn't come before */
};

struct reach_config {
	uv_loop_t *loop;
	/* Whether that visitor has come. */
	bool (*arrived)(void *owner, const struct reach_mark *mark);
	/* The outcome of reach_start(), never from within that. */
	void (*done)(void *owner, const struct reach_result *result);
	void *owner;
};

/* Embedded in its owner; its members are private. */
struct reach {
	struct reach_config config;
	struct ask *ask; /* under way; NULL: none */
	char host[ADDR_HOST_MAX];
	uint16_t port;
	uint64_t since_wall_ms, bytes;
};

void reach_init(struct reach *r, const struct reach_config *config);

/* Asks what listens at `host`. One is under way then, and no second may be started. 0, or a
 * negative errno: nothing follows. */
int reach_start(struct reach *r, const char *host, uint16_t port);
bool reach_runs(const struct reach *r);

/* Nothing follows of what is under way, and the memory may go. */
void reach_cancel(struct reach *r);

#endif
