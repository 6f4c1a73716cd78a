/* SPDX-License-Identifier: MIT */
/*
 * What comes first on the control port, behind a byte that says whether a trusted proxy sends it,
 * and in pieces of which size: it must come to the same as in one piece. Then the same bytes as a
 * front's answer.
 */
#include <assert.h>
#include <string.h>

#include "front/preamble.h"
#include "fuzz.h"

#define DATA_MAX (UPGRADE_HEAD_MAX + 1200)

static enum preamble_result feed(
	struct preamble *p, const uint8_t *data, size_t len, size_t piece, size_t *ret_used)
{
	enum preamble_result r = PREAMBLE_MORE;
	size_t at = 0, have = 0, used;

	while (r == PREAMBLE_MORE && have < len) {
		have = have + piece < len ? have + piece : len;
		/* As a chan's queue: no more than that is ever looked at. */
		if (have - at > UPGRADE_HEAD_MAX)
			have = at + UPGRADE_HEAD_MAX;
		r = preamble_feed(p, data + at, have - at, &used);
		assert(used <= have - at);
		at += used;
	}
	*ret_used = at;
	return r;
}

static void check_whole(const struct preamble *p, enum preamble_result r)
{
	const struct head *head = &p->request.head;
	struct span fields = head->fields, name, value;

	if (r != PREAMBLE_UPGRADE)
		return;
	assert(p->request.token.len == strlen(UPGRADE_TOKEN));
	while (head_next(&fields, &name, &value))
		assert(name.len && memchr(value.at, '\n', value.len) == NULL);
	assert(fields.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trusted trusted = { 0 };
	struct preamble whole, pieces;
	struct upgrade_answer answer;
	char why[TRUSTED_WHY_MAX];
	size_t used = 0, again = 0;
	enum preamble_result r, in_pieces;
	struct addr peer;
	uint8_t how;

	if (size < 2 || size > DATA_MAX)
		return 0;
	how = *data++;
	size--;
	(void)addr_parse_ip("10.0.0.1", 1, &peer);
	if (how & 1)
		(void)trusted_parse("10.0.0.0/8", &trusted.nets[trusted.count++], why);
	preamble_init(&whole, &trusted, &peer);
	preamble_init(&pieces, &trusted, &peer);
	r = feed(&whole, data, size, size, &used);
	check_whole(&whole, r);
	in_pieces = feed(&pieces, data, size, 1 + how / 2, &again);
	assert(in_pieces == r);
	assert(addr_equal(&whole.from, &pieces.from));
	if (r == PREAMBLE_PLAIN || r == PREAMBLE_UPGRADE)
		assert(used == again);
	if (!(how & 1))
		assert(addr_equal(&whole.from, &peer));
	if (upgrade_read_answer(data, size, &answer, &used) == UPGRADE_ANSWER_ACCEPTED)
		assert(used <= size && answer.status == 101);
	return 0;
}
