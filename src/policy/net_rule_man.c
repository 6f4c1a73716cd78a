/* SPDX-License-Identifier: MIT */
/* Runs at build time: writes the forms of a rule as a list of the manual page (mdoc(7)). */
#include <stdio.h>

#include "policy/net_rule.h"

int main(void)
{
	/* The zero-width \\& keeps what begins with a dot from being a request. */
	for (size_t i = 0; i < net_rule_forms_len; i++)
		printf(".It Ql \\&%s\nAllows %s.\n.br\nDenies %s.\n", net_rule_forms[i].example,
			net_rule_forms[i].allows, net_rule_forms[i].denies);
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
