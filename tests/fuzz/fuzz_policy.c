/* SPDX-License-Identifier: MIT */
/*
 * Lines of text: "+RULE" allows, "-RULE" denies, "?HOST" is asked for at port 443, "!HOST" likewise
 * as a name that resolves to the last "?" that was an address.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "policy/policy.h"

#define LINE_MAX 400

static void check_text(const char *text)
{
	assert(*text);
	for (; *text; text++)
		assert(*text >= ' ' && *text < 0x7f);
}

static void check_rule(struct policy *p, enum policy_list list, const char *text)
{
	char why[NET_RULE_WHY_MAX] = "", format[NET_RULE_TEXT_MAX], better[NET_RULE_WHY_MAX];
	struct net_rule rule, again;

	if (net_rule_parse(text, &rule, why) == 0) {
		/* All spellings of a rule end in one. */
		net_rule_format(&rule, format);
		assert(net_rule_parse(format, &again, why) == 0);
		assert(memcmp(&rule, &again, sizeof(rule)) == 0);
		(void)policy_add(p, list, text, text, why);
		return;
	}
	check_text(why);
	/* What is offered instead is a rule. */
	if (strstr(why, ": write '")) {
		(void)snprintf(better, sizeof(better), "%s", strstr(why, ": write '") + 9);
		better[strlen(better) - 1] = '\0';
		assert(net_rule_parse(better, &rule, why) == 0);
	}
}

static void check_verdict(const struct verdict *v)
{
	char text[VERDICT_TEXT_MAX];
	struct net_rule rule;

	check_text(verdict_explain(v, text));
	assert(v->rule || v->cause != VERDICT_ALLOWED);
	if (v->remedy[0])
		assert(net_rule_parse(v->remedy, &rule, text) == 0);
	if (v->older_remedy[0])
		assert(net_rule_parse(v->older_remedy, &rule, text) == 0);
}

static void ask(struct policy *p, const char *host, bool resolved, struct ipaddr *last)
{
	char why[DESTINATION_WHY_MAX] = "", text[DESTINATION_TEXT_MAX];
	struct destination d, again;
	struct verdict v;

	if (destination_parse(host, 443, &d, why) < 0) {
		check_text(why);
		return;
	}
	/* Whoever hands on the text of it hands on the same destination. */
	destination_format(&d, text);
	*strrchr(text, ':') = '\0';
	if (*text == '[')
		text[strlen(text) - 1] = '\0';
	assert(destination_parse(text + (*text == '['), 443, &again, why) == 0);
	assert(memcmp(&d, &again, sizeof(d)) == 0);
	if (resolved && d.name[0])
		policy_judge_resolved(p, &d, last, &v);
	else
		policy_judge(p, &d, &v);
	check_verdict(&v);
	if (!d.name[0])
		*last = d.addr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *p = policy_new();
	struct ipaddr last = { { 0 } };

	assert(p);
	while (size > 0) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t len = newline ? (size_t)(newline - data) : size;
		char line[LINE_MAX + 1];

		if (len > 0 && len <= LINE_MAX) {
			memcpy(line, data, len);
			line[len] = '\0';
			if (line[0] == '+' || line[0] == '-')
				check_rule(
					p, line[0] == '+' ? POLICY_ALLOW : POLICY_DENY, line + 1);
			else
				ask(p, line + 1, line[0] == '!', &last);
		}
		len += newline != NULL;
		data += len;
		size -= len;
	}
	policy_free(p);
	return 0;
}
