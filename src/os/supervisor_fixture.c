/* SPDX-License-Identifier: MIT */
#include "os/supervisor_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/test_turn.h"
#include "os/supervisor_state.h"
#include "os/test_guest_script.h"

static void on_state(
	void *owner, enum supervisor_state old, enum supervisor_state new_state, const char *cause)
{
	struct fixture *f = owner;
	size_t len = strlen(f->history);

	assert_int_not_equal(new_state, SUPERVISOR_DETECTING);
	snprintf(
		f->history + len, sizeof f->history - len, "%s ", supervisor_state_name(new_state));
	if (f->told)
		f->told(f);
}

static void on_next(void *owner, enum supervisor_next next, const char *cause)
{
	struct fixture *f = owner;
	size_t len = strlen(f->history);
	const char *name = supervisor_next_name(next);

	snprintf(f->history + len, sizeof f->history - len, "%s%s ", name ? "next-" : "",
		name    ? name
		: cause ? "kept"
			: "replaced");
	if (f->told)
		f->told(f);
}

static void on_crashed(void *owner, const char *line)
{
	struct fixture *f = owner;

	f->crash_lines++;
}

static void on_closed(void *owner)
{
	struct fixture *f = owner;

	f->closed = true;
}

static void on_deadline(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	fail_msg("nothing more has happened behind '%s'", f->history);
}

void fixture_write_file(const char *path, const void *text, size_t len)
{
	char new[192];
	FILE *out;

	snprintf(new, sizeof new, "%.*s/.written", (int)(strrchr(path, '/') - path), path);
	out = fopen(new, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(new, 0700), 0);
	assert_int_equal(rename(new, path), 0);
}

void fixture_open_for(
	struct fixture *f, const char *script, uint64_t start_timeout_ms, uint64_t drain_timeout_ms)
{
	const struct supervisor_events events = {
		.state = on_state, .next = on_next, .crashed = on_crashed, .owner = f
	};
	struct supervisor_config config = { .run = &f->run,
		.guest_program = f->guest,
		.open_files = FIXTURE_OPEN_FILES,
		.start_timeout_ms = start_timeout_ms,
		.drain_timeout_ms = drain_timeout_ms };
	char text[TEXT_MAX];

	snprintf(f->dir, sizeof f->dir, "/tmp/test_supervisor.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->cache, sizeof f->cache, "%s/.cache", f->dir);
	assert_int_equal(mkdir(f->cache, 0700), 0);
	setenv("XDG_CACHE_HOME", f->cache, 1);
	snprintf(f->guest, sizeof f->guest, "%s/guest", f->dir);
	snprintf(f->module, sizeof f->module, "%s/app.wasm", f->dir);
	snprintf(text, sizeof text, GUEST_SCRIPT_HEAD "%s\n", script);
	fixture_write_file(f->guest, text, strlen(text));
	fixture_write_file(f->module, "\0asm\1\0\0\0", 8);
	f->run.project_path = f->dir;
	f->run.no_isolation = true; /* a script can't run behind the wall */
	f->ring = log_ring_new();
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
	f->deadline.data = f;
	assert_int_equal(supervisor_new(&f->loop, &config, f->ring, &events, &f->supervisor), 0);
}

void fixture_open(struct fixture *f, const char *script)
{
	fixture_open_for(f, script, 0, 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

void fixture_close(struct fixture *f)
{
	if (!f->closed)
		supervisor_close(f->supervisor, on_closed, f);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	log_ring_free(f->ring);
	assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void fixture_close_twice(struct fixture *f)
{
	supervisor_close(f->supervisor, on_closed, f);
	supervisor_close(f->supervisor, on_closed, f);
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (!f->closed)
		test_turn(&f->loop);
}

void fixture_await(struct fixture *f, const char *history)
{
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (strcmp(f->history, history) != 0) {
		if (strncmp(f->history, history, strlen(f->history)) != 0)
			fail_msg("'%s' instead of '%s'", f->history, history);
		test_turn(&f->loop);
	}
	f->history[0] = '\0';
	uv_timer_stop(&f->deadline);
}

void fixture_await_state(struct fixture *f, enum supervisor_state state)
{
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (fixture_status(f).state != state)
		test_turn(&f->loop);
	uv_timer_stop(&f->deadline);
}

struct supervisor_status fixture_status(struct fixture *f)
{
	struct supervisor_status status;

	supervisor_status(f->supervisor, &status);
	return status;
}

bool fixture_has_line(struct fixture *f, enum log_stream stream, const char *text)
{
	struct log_line line;

	for (uint64_t seq = log_ring_first(f->ring); seq < log_ring_next(f->ring); seq++)
		if (log_ring_get(f->ring, seq, &line) && line.stream == stream &&
			strcmp(line.text, text) == 0)
			return true;
	return false;
}

void fixture_await_line(struct fixture *f, enum log_stream stream, const char *text)
{
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (!fixture_has_line(f, stream, text))
		test_turn(&f->loop);
	uv_timer_stop(&f->deadline);
}

int fixture_visit(struct fixture *f, const char *words)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(fixture_status(f).port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
	return fd;
}

void fixture_read_answer(struct fixture *f, int fd, char text[TEXT_MAX])
{
	size_t len = 0;
	ssize_t n = -1;

	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (n != 0) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		n = recv(fd, text + len, TEXT_MAX - 1 - len, MSG_DONTWAIT);
		assert_true(n >= 0 || errno == EAGAIN);
		if (n > 0)
			len += (size_t)n;
		else if (n < 0)
			(void)poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 1);
	}
	uv_timer_stop(&f->deadline);
	text[len] = '\0';
}
