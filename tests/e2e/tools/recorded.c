/* SPDX-License-Identifier: MIT */
/*
 * In `bore local`: all of its visitors are recorded, as those of `wasmrun os` can be, so that the
 * tunnel's tests show that nobody notices. The linker has the calls to the tunnel come by here
 * (--wrap). At the end a line tells how many exchanges were seen.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/flow.h"
#include "record/recorder.h"
#include "tunnel/tunnel.h"

int __real_tunnel_new(uv_loop_t *loop, struct pump_pool *pool, const struct tunnel_config *config,
	const struct tunnel_events *events, struct tunnel **ret_tunnel);
int __wrap_tunnel_new(uv_loop_t *loop, struct pump_pool *pool, const struct tunnel_config *config,
	const struct tunnel_events *events, struct tunnel **ret_tunnel);
void __real_tunnel_close(struct tunnel *t, void (*closed)(void *owner), void *owner);
void __wrap_tunnel_close(struct tunnel *t, void (*closed)(void *owner), void *owner);

/* There is one tunnel in the process. */
static struct {
	struct recorder *recorder;
	struct tunnel_events events; /* the client's */
	void (*closed)(void *owner);
	void *owner;
} recorded;

static struct tap *on_tap(void *owner, const struct tunnel_visit *visit)
{
	const struct record_origin origin = { .kind = "tunnel" };
	struct record_conn *conn = recorder_begin(recorded.recorder, &origin);

	*visit->note = conn;
	return conn ? record_conn_tap(conn) : NULL;
}

static void on_visit(void *owner, const struct tunnel_visit *visit)
{
	const uint64_t bytes[PUMP_SIDES] = { visit->bytes_in, visit->bytes_out };

	if (!visit->opened)
		*visit->note = record_conn_end(*visit->note, bytes, NULL);
	if (recorded.events.visit)
		recorded.events.visit(recorded.events.owner, visit);
}

static void on_state(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	recorded.events.state(recorded.events.owner, old, new_state, cause);
}

static void on_changed(void *owner, const struct exchange *e)
{
}

int __wrap_tunnel_new(uv_loop_t *loop, struct pump_pool *pool, const struct tunnel_config *config,
	const struct tunnel_events *events, struct tunnel **ret_tunnel)
{
	const struct recorder_config recorder = { .loop = loop, .changed = on_changed };
	const struct tunnel_events ours = { .state = on_state, .visit = on_visit, .tap = on_tap };

	if (recorder_new(&recorder, &recorded.recorder) < 0)
		abort();
	recorder_set_on(recorded.recorder, true);
	recorded.events = *events;
	return __real_tunnel_new(loop, pool, config, &ours, ret_tunnel);
}

static void count(void *owner, const struct exchange *e)
{
	((unsigned *)owner)[e->state]++;
}

static void on_tunnel_closed(void *owner)
{
	unsigned counts[EXCHANGE_STATES] = { 0 };

	recorder_each(recorded.recorder, count, counts);
	for (int state = 0; state < EXCHANGE_STATES; state++)
		if (counts[state])
			fprintf(stderr, "recorded: %u %s\n", counts[state],
				exchange_state_names[state]);
	recorder_close(recorded.recorder, recorded.closed, recorded.owner);
}

void __wrap_tunnel_close(struct tunnel *t, void (*closed)(void *owner), void *owner)
{
	recorded.closed = closed;
	recorded.owner = owner;
	__real_tunnel_close(t, on_tunnel_closed, NULL);
}
