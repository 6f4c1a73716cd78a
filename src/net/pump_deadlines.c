/* SPDX-License-Identifier: MIT */
#include "net/pump_deadlines.h"

#include "base/clock.h"
#include "base/lang.h"
#include "net/pump.h"

#define DEADLINES_PARTS 16U /* of a timeout: it is met within one of them */
#define DEADLINES_MIN_MS 10U
#define DEADLINES_DELIVERY_MS 20U
#define DEADLINES_TAKEN_MS (PUMP_TAKEN_MS / DEADLINES_PARTS)
#define DEADLINES_THROTTLED_MS 10U

static uint64_t deadlines_usual_ms(const struct pump_pool_config *config, uint64_t most_ms)
{
	const uint64_t timeouts[] = { config->half_close_timeout_ms, config->idle_timeout_ms,
		config->vanished_timeout_ms };
	uint64_t every_ms = most_ms ? most_ms : UINT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(timeouts); i++) {
		if (timeouts[i])
			every_ms = min_u64(
				every_ms, max_u64(timeouts[i] / DEADLINES_PARTS, DEADLINES_MIN_MS));
	}
	return every_ms;
}

void pump_deadlines_init(
	struct pump_deadlines *d, const struct pump_pool_config *config, uint64_t most_ms)
{
	const uint64_t every_ms[PUMP_ROWS] = {
		[PUMP_ROW_USUAL] = deadlines_usual_ms(config, most_ms),
		[PUMP_ROW_DELIVERY] = DEADLINES_DELIVERY_MS,
		[PUMP_ROW_TAKEN] = DEADLINES_TAKEN_MS,
		[PUMP_ROW_THROTTLED] = DEADLINES_THROTTLED_MS,
	};

	for (size_t i = 0; i < PUMP_ROWS; i++) {
		list_init(&d->row[i].pumps);
		d->row[i].every_ms = every_ms[i];
		d->row[i].next_ms = 0;
	}
	d->next_ms = UINT64_MAX;
}

/* "Never" stays so. */
static uint64_t deadlines_next_look(
	const struct pump_deadlines *d, enum pump_row row, uint64_t now_ms)
{
	return now_ms + min_u64(d->row[row].every_ms, UINT64_MAX - now_ms);
}

static void deadlines_put(
	struct pump_deadlines *d, enum pump_row row, struct list *link, uint64_t now_ms)
{
	if (list_empty(&d->row[row].pumps))
		d->row[row].next_ms = deadlines_next_look(d, row, now_ms);
	d->next_ms = min_u64(d->next_ms, d->row[row].next_ms);
	list_push_back(&d->row[row].pumps, link);
}

static enum pump_row deadlines_row(enum pump_deadline deadline)
{
	switch (deadline) {
	case PUMP_DEADLINE_DELIVERY:
		return PUMP_ROW_DELIVERY;
	case PUMP_DEADLINE_TAKEN:
		return PUMP_ROW_TAKEN;
	default:
		return PUMP_ROW_USUAL;
	}
}

static void deadlines_note_throttled(struct pump_deadlines *d, struct pump *p)
{
	if (pump_is_throttled(p) && list_empty(&p->throttled_link))
		deadlines_put(d, PUMP_ROW_THROTTLED, &p->throttled_link, clock_now_ms());
}

void pump_deadlines_add(
	struct pump_deadlines *d, struct pump *p, const struct pump_io *io, uint64_t now_ms)
{
	enum pump_deadline deadline = pump_current_deadline(p, io);

	if (deadline != p->deadline)
		p->progress_ms = now_ms;
	p->deadline = deadline;
	deadlines_put(d, deadlines_row(deadline), &p->deadline_link, now_ms);
	deadlines_note_throttled(d, p);
}

void pump_deadlines_update(struct pump_deadlines *d, struct pump *p, const struct pump_io *io)
{
	enum pump_deadline deadline = pump_current_deadline(p, io);

	deadlines_note_throttled(d, p);
	if (deadline == p->deadline)
		return;
	p->progress_ms = clock_now_ms();
	list_remove(&p->deadline_link);
	p->deadline = deadline;
	deadlines_put(d, deadlines_row(deadline), &p->deadline_link, p->progress_ms);
}

void pump_deadlines_remove(struct pump *p)
{
	list_remove(&p->deadline_link);
	list_remove(&p->throttled_link);
}

bool pump_deadlines_due(struct pump_deadlines *d, enum pump_row row, uint64_t now_ms)
{
	if (list_empty(&d->row[row].pumps) || now_ms < d->row[row].next_ms)
		return false;
	d->row[row].next_ms = deadlines_next_look(d, row, now_ms);
	return true;
}

void pump_deadlines_looked(struct pump_deadlines *d)
{
	d->next_ms = UINT64_MAX;
	for (size_t i = 0; i < PUMP_ROWS; i++) {
		if (!list_empty(&d->row[i].pumps))
			d->next_ms = min_u64(d->next_ms, d->row[i].next_ms);
	}
}
