/* SPDX-License-Identifier: MIT */
#include "cli/doctor_stranger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/lang.h"
#include "net/ask.h"

#define BEFORE "what was known"

static const struct {
	enum ask_end end;
	const char *answer;
	const char *text; /* its beginning */
} cases[] = {
	{ ASK_ANSWERED, "HTTP/1.1 426 Upgrade Required\r\n",
		"host:1 is a bore relay, which has closed the tunnel's connection without a word "
		"('HTTP/1.1 426 Upgrade Required'); is it" },
	{ ASK_ANSWERED, "HTTP/1.0 200 OK\r\nX: y\r\n",
		"host:1 is a web server ('HTTP/1.0 200 OK'); check the port" },
	{ ASK_ANSWERED, "\x15\x03\x01", "host:1 speaks TLS (" },
	{ ASK_ANSWERED, "SSH-2.0-\x1b[2J\r\n",
		"host:1 is an SSH server ('SSH-2.0-\\x1b[2J'); check the port" },
	{ ASK_ANSWERED, "220 mail\r\n", "host:1 is a mail or FTP server ('220 mail');" },
	{ ASK_ANSWERED, "22", BEFORE },
	{ ASK_ANSWERED, "", BEFORE },
	{ ASK_ANSWERED, "\xff\xff", BEFORE },
	{ ASK_SILENT, "", BEFORE },
	{ ASK_CLOSED, "", "host:1 takes connections, and closes them without a word; if wrong" },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct ask_result asked = { .end = cases[i].end,
			.answer = cases[i].answer,
			.len = strlen(cases[i].answer) };
		char text[DOCTOR_TEXT_MAX] = BEFORE;

		doctor_name_stranger("host:1", &asked, text);
		if (strncmp(text, cases[i].text, strlen(cases[i].text)) != 0)
			fail_msg("'%s' for '%s'", text, cases[i].answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers) };

	return cmocka_run_group_tests_name("cli/doctor_stranger", tests, NULL, NULL);
}
