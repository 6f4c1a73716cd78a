/* SPDX-License-Identifier: MIT */
/*
 * The tunnel's state machine. The owner tells it what has happened:
 *
 *   machine_start(), machine_stop()    the owner wants a tunnel, or none
 *   machine_up()                       an attempt has come through its handshake
 *   machine_attempt_failed()           it has not
 *   machine_heard(), machine_lost()    the relay has spoken; its connection is over
 *   machine_moved()                    so it is, and the next relay is there already
 *   machine_give_up()                  for good
 *   machine_tick()                     time has passed: says what is due, which the owner does
 *
 * `state` is written by machine_set_state() alone, which asserts that the edge is in the table
 * (state.c). Deadlines are fields that machine_tick() compares with the time it is given; a change
 * of state clears them all first and then sets those that apply.
 *
 * It owns nothing. machine_set_state() ends in a call of the owner, which may tell the next event
 * from within: so it stands last wherever it is called.
 */
#include "tunnel/machine.h"

#include <assert.h>

#include "base/lang.h"
#include "base/log.h"

#define LOG "tunnel"

static void machine_set_state(struct machine *m, enum machine_event event, const char *cause)
{
	const struct machine_edge *edge = machine_edge(m->state, event);
	enum tunnel_state old = m->state;
	enum log_level level = LOG_LEVEL_INFO;

	assert(edge);
	m->state = edge->to;
	/* The owner says that there never was a tunnel, and why: one line is enough. */
	if (old == TUNNEL_CONNECTING && m->state == TUNNEL_FAILED)
		level = LOG_LEVEL_DEBUG;
	else if (old == TUNNEL_CONNECTING || m->state == TUNNEL_CONNECTING)
		level = LOG_LEVEL_STEP;
	if (old != m->state)
		log_at(level, LOG, "'%s': %s -> %s (%s)", m->config.name, tunnel_state_name(old),
			tunnel_state_name(m->state), cause);
	if (old != m->state || event == MACHINE_RETRY)
		m->changed(m->owner, old, m->state, cause);
}

static void machine_forget_deadlines(struct machine *m)
{
	m->attempt_ms = m->give_up_ms = m->port_taken_ms = m->silent_ms = MACHINE_NEVER;
}

static uint64_t machine_silence_ms(const struct machine *m)
{
	return min_u64(max_u64(MACHINE_SILENCE_MIN_MS, MACHINE_SILENCE_FACTOR * m->longest_ms),
		MACHINE_SILENCE_MAX_MS);
}

static void machine_begin_attempts(struct machine *m, uint64_t now_ms, uint64_t delay_ms)
{
	m->attempt_ms = now_ms + delay_ms;
	if (m->config.reconnect_timeout_ms)
		m->give_up_ms = now_ms + m->config.reconnect_timeout_ms;
}

void machine_init(struct machine *m, const struct machine_config *config, backoff_random_fn random,
	machine_changed_fn changed, void *owner)
{
	*m = (struct machine){ .config = *config, .changed = changed, .owner = owner };
	backoff_init(&m->backoff, random);
	machine_forget_deadlines(m);
}

void machine_start(struct machine *m, uint64_t now_ms)
{
	if (m->state == TUNNEL_CONNECTING || m->state == TUNNEL_CONNECTED ||
		m->state == TUNNEL_RECONNECTING)
		return;
	backoff_reset(&m->backoff);
	(void)episode_end(&m->failures);
	m->public_port = 0;
	machine_forget_deadlines(m);
	machine_begin_attempts(m, now_ms, 0);
	/* Without --retry there is but one attempt, which has deadlines of its own. */
	if (!m->config.retry)
		m->give_up_ms = MACHINE_NEVER;
	machine_set_state(m, MACHINE_START, "started");
}

void machine_stop(struct machine *m, const char *cause)
{
	machine_forget_deadlines(m);
	machine_set_state(m, MACHINE_STOP, cause);
}

void machine_up(struct machine *m, uint64_t now_ms, uint16_t public_port)
{
	bool moved = m->public_port && m->public_port != public_port;

	if (moved)
		log_warn(LOG, "'%s': the public port is now %u: %u was still taken after %u s",
			m->config.name, public_port, m->public_port, MACHINE_SAME_PORT_MS / 1000);
	m->public_port = public_port;
	(void)episode_end(&m->failures);
	machine_forget_deadlines(m);
	m->connected_ms = m->heard_ms = now_ms;
	m->longest_ms = 0;
	m->silent_ms = now_ms + machine_silence_ms(m);
	machine_set_state(m, MACHINE_UP,
		moved ? "handshake done, with another public port" : "handshake done");
}

void machine_attempt_failed(
	struct machine *m, uint64_t now_ms, enum machine_verdict verdict, const char *cause)
{
	bool again = m->state == TUNNEL_RECONNECTING || m->config.retry;
	uint64_t delay_ms;

	if (!again || verdict == MACHINE_FINAL) {
		machine_give_up(m, cause);
		return;
	}
	if (verdict == MACHINE_PORT_TAKEN && m->public_port && m->port_taken_ms == MACHINE_NEVER)
		m->port_taken_ms = now_ms;
	delay_ms = backoff_next_ms(&m->backoff);
	/* Don't wait beyond the moment from which another port will do. */
	if (m->port_taken_ms != MACHINE_NEVER && now_ms < m->port_taken_ms + MACHINE_SAME_PORT_MS)
		delay_ms = min_u64(delay_ms, m->port_taken_ms + MACHINE_SAME_PORT_MS - now_ms);
	m->attempt_ms = now_ms + delay_ms;
	/* A relay may be away for a night: log an attempt only when it fails in a new way. */
	log_at(episode_tells(&m->failures, cause, now_ms) ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, LOG,
		"'%s': still %s (%s), next attempt in %.1f s", m->config.name,
		tunnel_state_name(m->state), cause, (double)delay_ms / 1000);
	machine_set_state(m, MACHINE_RETRY, cause);
}

void machine_heard(struct machine *m, uint64_t now_ms)
{
	assert(m->state == TUNNEL_CONNECTED);
	m->longest_ms = max_u64(m->longest_ms, now_ms - m->heard_ms);
	m->heard_ms = now_ms;
	m->silent_ms = now_ms + machine_silence_ms(m);
}

static void machine_down(struct machine *m, uint64_t now_ms, bool at_once, const char *cause)
{
	assert(m->state == TUNNEL_CONNECTED);
	if (!m->config.reconnect) {
		machine_give_up(m, cause);
		return;
	}
	if (now_ms - m->connected_ms >= MACHINE_STEADY_MS)
		backoff_reset(&m->backoff);
	machine_forget_deadlines(m);
	machine_begin_attempts(m, now_ms, at_once ? 0 : backoff_next_ms(&m->backoff));
	machine_set_state(m, MACHINE_DOWN, cause);
}

void machine_lost(struct machine *m, uint64_t now_ms, const char *cause)
{
	machine_down(m, now_ms, false, cause);
}

void machine_moved(struct machine *m, uint64_t now_ms, const char *cause)
{
	machine_down(m, now_ms, now_ms - m->connected_ms >= MACHINE_HURRY_MS, cause);
}

void machine_give_up(struct machine *m, const char *cause)
{
	machine_forget_deadlines(m);
	machine_set_state(m, MACHINE_GIVE_UP, cause);
}

void machine_hurry(struct machine *m, uint64_t now_ms)
{
	if (m->attempt_ms != MACHINE_NEVER)
		m->attempt_ms =
			min_u64(m->attempt_ms, max_u64(now_ms, m->tried_ms + MACHINE_HURRY_MS));
}

uint16_t machine_port(const struct machine *m, uint64_t now_ms)
{
	if (!m->public_port)
		return m->config.port;
	if (m->port_taken_ms != MACHINE_NEVER && now_ms - m->port_taken_ms >= MACHINE_SAME_PORT_MS)
		return 0;
	return m->public_port;
}

uint64_t machine_deadline(const struct machine *m)
{
	return min_u64(min_u64(m->attempt_ms, m->give_up_ms), m->silent_ms);
}

enum machine_todo machine_tick(struct machine *m, uint64_t now_ms)
{
	if (now_ms >= m->give_up_ms)
		return MACHINE_TIME_UP;
	if (now_ms >= m->attempt_ms) {
		m->attempt_ms = MACHINE_NEVER;
		m->tried_ms = now_ms;
		return MACHINE_ATTEMPT;
	}
	if (now_ms < m->silent_ms)
		return MACHINE_NOTHING;
	/*
	 * A tick that comes so late says that this process was stopped, or its machine was. What
	 * the relay has said meanwhile still stands in the socket, because the loop runs its timers
	 * first: wait once more.
	 */
	if (now_ms - m->silent_ms >= MACHINE_LATE_MS) {
		m->silent_ms = now_ms + MACHINE_LATE_MS;
		return MACHINE_NOTHING;
	}
	return MACHINE_SILENT;
}
