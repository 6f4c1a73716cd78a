/* SPDX-License-Identifier: MIT */
/* Secrets: from text, file and credential, and what is left of them afterwards. */
#include "base/secret.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/lang.h"

/* A directory of its own per test; state is its path. */
static int setup(void **state)
{
	static char dir[32];

	strncpy(dir, "/tmp/test-secret-XXXXXX", sizeof dir - 1);
	*state = mkdtemp(dir);
	return *state ? 0 : -1;
}

static void path_of(char *path, size_t size, void **state, const char *name)
{
	snprintf(path, size, "%s/%s", (const char *)*state, name);
}

static int teardown(void **state)
{
	char path[64];

	path_of(path, sizeof path, state, "s");
	unlink(path);
	return rmdir(*state);
}

static void write_file(const char *path, const char *data, size_t len)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Whether the pages of text are flagged "dd", do not dump, in smaps. */
static bool is_left_out_of_cores(const void *text)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool inside = false, found = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)text >= start && (uintptr_t)text < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, " dd") != NULL;
	}
	fclose(f);
	return found;
}

static void test_set_and_clear(void **state)
{
	static const char long_text[SECRET_MAX_LEN + 1];
	struct secret s = { 0 };

	assert_int_equal(secret_set(&s, "", 0), 0);
	assert_true(s.set);
	assert_int_equal(s.len, 0);
	assert_string_equal(s.text, "");
	assert_int_equal(secret_set(&s, "hunter2", 7), 0);
	assert_string_equal(s.text, "hunter2");
	assert_true(is_left_out_of_cores(s.text));
	assert_int_equal(secret_set(&s, long_text, sizeof long_text), -E2BIG);
	assert_string_equal(s.text, "hunter2");
	assert_int_equal(secret_set(&s, long_text, SECRET_MAX_LEN), 0);
	assert_int_equal(s.len, SECRET_MAX_LEN);
	secret_clear(&s);
	assert_false(s.set);
	assert_null(s.text);
	secret_clear(&s);
	secret_clear(NULL);
}

static void test_file(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *secret;
	} cases[] = {
		{ "abc", 3, "abc" },
		{ "abc\n", 4, "abc" },
		{ "abc\n\n", 5, "abc\n" },
		{ "\n", 1, "" },
		{ "", 0, "" },
	};
	struct secret s = { 0 };
	const char *why = NULL;
	char path[64];

	path_of(path, sizeof path, state, "s");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_file(path, cases[i].data, cases[i].len);
		assert_int_equal(secret_read_file(&s, path, &why), 0);
		assert_true(s.set);
		assert_string_equal(s.text, cases[i].secret);
		assert_int_equal(s.len, strlen(cases[i].secret));
	}
	assert_true(is_left_out_of_cores(s.text));
	secret_clear(&s);
}

static void test_bad_file(void **state)
{
	static char long_text[SECRET_MAX_LEN + 2];
	struct secret s = { 0 };
	const char *why = NULL;
	char path[64];

	path_of(path, sizeof path, state, "s");
	assert_int_equal(secret_read_file(&s, path, &why), -ENOENT);
	assert_string_equal(why, strerror(ENOENT));
	write_file(path, "a\0b", 3);
	assert_int_equal(secret_read_file(&s, path, &why), -EINVAL);
	assert_string_equal(why, "holds a NUL byte");
	memset(long_text, 'a', sizeof long_text);
	write_file(path, long_text, sizeof long_text);
	assert_int_equal(secret_read_file(&s, path, &why), -E2BIG);
	assert_string_equal(why, "is longer than 4096 bytes");
	assert_int_equal(secret_read_file(&s, *state, &why), -EISDIR);
	assert_false(s.set);
}

static pid_t write_later(const char *path, const char *text)
{
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	_exit(fd < 0 || write(fd, text, strlen(text)) < 0);
}

/* A pipe without a writer held up the start for good; one with a writer, as the shell's <(pass show
 * relay) is, is read to its end. */
static void test_pipe(void **state)
{
	struct secret s = { 0 };
	const char *why = NULL;
	char path[64];
	pid_t writer;
	int status = -1;

	path_of(path, sizeof path, state, "s");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(secret_read_file(&s, path, &why), -ETIMEDOUT);
	assert_string_equal(why, "it is a pipe, and nothing has come through it");
	writer = write_later(path, "from a pipe\n");
	assert_true(writer > 0);
	assert_int_equal(secret_read_file(&s, path, &why), 0);
	assert_string_equal(s.text, "from a pipe");
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
	secret_clear(&s);
	assert_int_equal(secret_read_file(&s, "/dev/zero", &why), -ENODEV);
	assert_string_equal(why, "it is a device");
}

static void test_credential(void **state)
{
	struct secret s = { 0 };
	char path[64];

	path_of(path, sizeof path, state, "s");
	write_file(path, "from systemd\n", 13);
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(secret_from_credential(&s, "s"), -ENOENT);
	setenv("CREDENTIALS_DIRECTORY", *state, 1);
	assert_int_equal(secret_from_credential(&s, "other"), -ENOENT);
	assert_int_equal(secret_from_credential(&s, "s"), 0);
	assert_string_equal(s.text, "from systemd");
	unsetenv("CREDENTIALS_DIRECTORY");
	secret_clear(&s);
}

static void test_exposed_file(void **state)
{
	char path[64];

	path_of(path, sizeof path, state, "s");
	write_file(path, "abc", 3);
	assert_int_equal(chmod(path, 0640), 0);
	assert_false(secret_file_is_exposed(path));
	assert_int_equal(chmod(path, 0644), 0);
	assert_true(secret_file_is_exposed(path));
	assert_false(secret_file_is_exposed("/nonexistent"));
}

static void test_hidden_arg(void **state)
{
	char arg[] = "hunter2", empty[] = "";

	secret_hide_arg(arg);
	assert_memory_equal(arg, "x\0\0\0\0\0\0", sizeof arg);
	secret_hide_arg(empty);
	assert_string_equal(empty, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_set_and_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credential, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exposed_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden_arg, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
