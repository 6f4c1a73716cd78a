/* SPDX-License-Identifier: MIT */
/* What reaches the terminal of an application's lines. */
#include "cli/terminal.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/fd.h"

static const struct {
	const char *text;
	const char *plain, *coloured; /* on no terminal, and on one */
} cases[] = {
	{ "plain \xc3\xa4", "plain \xc3\xa4", "plain \xc3\xa4" },
	{ "of Windows\r", "of Windows", "of Windows" },
	{ "\033[31mred\033[0m!", "red!", "\033[31mred\033[0m!\033[0m" },
	{ "\033[1;38:5:9mred", "red", "\033[1;38:5:9mred\033[0m" },
	{ "\033[mx", "x", "\033[mx\033[0m" },
	/* Clears, moves, titles, answers, and what only begins like a colour. */
	{ "\033[2J", "\\x1b[2J", "\\x1b[2J" },
	{ "\033[3;1H", "\\x1b[3;1H", "\\x1b[3;1H" },
	{ "\033[>4;1m", "\\x1b[>4;1m", "\\x1b[>4;1m" },
	{ "\033]0;title\a", "\\x1b]0;title\\x07", "\\x1b]0;title\\x07" },
	{ "\033[31", "\\x1b[31", "\\x1b[31" },
	{ "\033", "\\x1b", "\\x1b" },
	{ "\x9b"
	  "31m",
		"\\x9b31m", "\\x9b31m" },
	{ "a\rb", "a\\x0db", "a\\x0db" },
};

static void read_shown(int fd, char *shown, size_t size)
{
	size_t len = 0;
	ssize_t n;

	/* A terminal may hand a line on in pieces. */
	do {
		n = read(fd, shown + len, size - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
	} while (!memchr(shown, '\n', len));
	shown[len] = '\0';
	shown[strcspn(shown, "\n")] = '\0';
}

static void test_no_terminal(void **state)
{
	char shown[128];
	int fds[2];
	FILE *out;

	assert_int_equal(pipe(fds), 0);
	out = fdopen(fds[1], "w");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		terminal_write_line(out, cases[i].text, strlen(cases[i].text));
		(void)fputc('\n', out);
		(void)fflush(out);
		read_shown(fds[0], shown, sizeof shown);
		assert_string_equal(shown, cases[i].plain);
	}
	(void)fclose(out);
	fd_close(fds[0]);
}

static void test_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char shown[128];
	FILE *out;

	(void)unsetenv("NO_COLOR");
	assert_int_equal(setenv("TERM", "xterm", 1), 0);
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	out = fdopen(slave, "w");
	assert_non_null(out);
	for (unsigned colourless = 0; colourless < 3; colourless++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			terminal_write_line(out, cases[i].text, strlen(cases[i].text));
			(void)fputc('\n', out);
			(void)fflush(out);
			read_shown(master, shown, sizeof shown);
			shown[strcspn(shown, "\r")] = '\0'; /* of the terminal's newline */
			assert_string_equal(shown, colourless ? cases[i].plain : cases[i].coloured);
		}
		assert_int_equal(setenv("NO_COLOR", colourless ? "" : "1", 1), 0);
		assert_int_equal(setenv("TERM", colourless ? "dumb" : "xterm", 1), 0);
	}
	(void)fclose(out);
	fd_close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_terminal),
		cmocka_unit_test(test_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
