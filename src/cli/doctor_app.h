/* SPDX-License-Identifier: MIT */
/* The local application, as the doctor looks at it: whether it listens, what it speaks, and whether
 * it answers to its public name. */
#ifndef CLI_DOCTOR_APP_H
#define CLI_DOCTOR_APP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"

struct ask;

struct doctor_app_config {
	uv_loop_t *loop;
	const char *host;
	uint16_t port;
	const char *public_host; /* "host:port" as visitors name it; NULL: not known */
	/* `text` is what was found, or "cause; remedy" where that is wrong. */
	void (*done)(void *owner, bool good, const char *text);
	void *owner;
};

/* Embedded in its owner; its members are private. */
struct doctor_app {
	struct doctor_app_config config;
	struct ask *ask; /* under way, or NULL */
	unsigned status; /* to the application's own name */
	char peer[ADDR_TEXT_MAX];
};

/* 0: `done` follows, never from within. Or a negative errno. */
int doctor_app_start(struct doctor_app *app, const struct doctor_app_config *config);
void doctor_app_cancel(struct doctor_app *app);

#endif
