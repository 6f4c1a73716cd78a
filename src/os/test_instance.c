/* SPDX-License-Identifier: MIT */
/* One instance with a shell script in place of its engine: what it goes through, and why it ends.
 */
#include "os/instance.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"
#include "net/test_turn.h"
#include "os/gate.h"
#include "os/run_config.h"
#include "os/test_guest_script.h"

#define DEADLINE_MS 60000
#define SERVE "trap 'exit 5' USR1; echo >&$status; while :; do sleep 1000 & wait; done\n"

struct fixture {
	char dir[64], guest[96];
	uv_loop_t loop;
	uv_timer_t deadline;
	struct os_run_config run;
	struct instance_config config;
	struct instance *instance; /* NULL once it has ended */
	struct app_plan plan;      /* what came back */
	enum instance_stage stage;
	char history[128]; /* what it has told, and how it has ended */
	char reason[INSTANCE_REASON_MAX], ran_reason[INSTANCE_REASON_MAX];
	bool content;
};

static void note(struct fixture *f, const char *word)
{
	size_t len = strlen(f->history);

	snprintf(f->history + len, sizeof f->history - len, "%s ", word);
}

static void on_ready(void *owner, struct instance *i)
{
	assert_int_equal(i->state, INSTANCE_READY);
	note(owner, "ready");
}

static void on_late(void *owner, struct instance *i)
{
	assert_int_equal(i->state, INSTANCE_ENDING);
	note(owner, "late");
}

static void on_ended(void *owner, struct instance *i)
{
	struct fixture *f = owner;

	assert_int_equal(i->state, INSTANCE_ENDED);
	assert_int_equal(instance_pid(i), 0);
	instance_explain_end(i, false, f->reason);
	instance_explain_end(i, true, f->ran_reason);
	instance_give_plan(i, &f->plan);
	f->content = instance_was_content(i);
	f->stage = i->stage;
	f->instance = NULL;
	note(f, "ended");
}

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("nothing more has happened");
}

static void write_script(struct fixture *f, const char *script)
{
	FILE *out = fopen(f->guest, "w");

	assert_non_null(out);
	fprintf(out, GUEST_SCRIPT_HEAD "%s", script);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(f->guest, 0700), 0);
}

/* 0: long enough. */
static void setup(struct fixture *f, const char *script, enum app_interface interface,
	uint64_t start_timeout_ms, uint64_t drain_timeout_ms)
{
	struct app_plan plan = { 0 };
	char why[APP_WHY_MAX];

	*f = (struct fixture){ .dir = "/tmp/test_instance.XXXXXX" };
	assert_non_null(mkdtemp(f->dir));
	setenv("XDG_CACHE_HOME", f->dir, 1);
	snprintf(f->guest, sizeof f->guest, "%s/guest", f->dir);
	write_script(f, script);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	uv_unref((uv_handle_t *)&f->deadline);
	f->run.project_path = f->dir;
	f->run.no_isolation = true; /* a script can't run behind the wall */
	f->config = (struct instance_config){
		.loop = &f->loop,
		.run = &f->run,
		.guest_program = f->guest,
		.start_timeout_ms = start_timeout_ms ? start_timeout_ms : DEADLINE_MS,
		.drain_timeout_ms = drain_timeout_ms ? drain_timeout_ms : DEADLINE_MS,
		.listen_fd = STDIN_FILENO,
		.listen_addr = "127.0.0.1:1",
		.ring = log_ring_new(),
		.events = { .ready = on_ready, .late = on_late, .ended = on_ended, .owner = f },
	};
	plan.folder = strdup(f->dir);
	plan.module = strdup("app.wasm");
	assert_int_equal(instance_start(&f->config, &plan, interface, &f->instance, why), 0);
	assert_null(plan.folder);
	assert_int_equal(f->instance->state, INSTANCE_STARTING);
	assert_true(instance_pid(f->instance) > 0);
}

static void await(struct fixture *f, const char *history)
{
	while (strcmp(f->history, history) != 0) {
		if (strncmp(f->history, history, strlen(f->history)) != 0)
			fail_msg("'%s' instead of '%s'", f->history, history);
		test_turn(&f->loop);
	}
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static void teardown(struct fixture *f)
{
	assert_null(f->instance);
	app_plan_clear(&f->plan);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	log_ring_free(f->config.ring);
	assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const struct {
	const char *script;
	enum app_interface interface;
	const char *history, *reason,
		*ran_reason; /* the last one, if it has run before; NULL: same */
	enum instance_stage stage;
	bool content;
} ends[] = {
	{ "exit 3", APP_LISTENER, "ended ", "it ended before it took a connection: exit code 3",
		"exit code 3", INSTANCE_BEGUN, false },
	{ "exit 0", APP_LISTENER, "ended ", "it ended before it took a connection: exit code 0",
		"it ended by itself: exit code 0", INSTANCE_BEGUN, true },
	{ "echo >&$status; kill -9 $$", APP_LISTENER, "ready ended ",
		"it ended before it took a connection: killed by signal 9 (Killed)",
		"killed by signal 9 (Killed)", INSTANCE_LISTENING, false },
	/* A visitor may have brought it to that. */
	{ "echo >&$status; echo >&$status; exit 0", APP_CGI, "ready ended ",
		"it ended before it took a connection: exit code 0",
		"it ended by itself: exit code 0", INSTANCE_VISITED, false },
	{ "echo >&$status; echo >&$status; echo >&$status; echo >&$status; exit 1", APP_CGI,
		"ready ended ", "it ended before it took a connection: exit code 1", "exit code 1",
		INSTANCE_ANSWERED, false },
	{ "echo words >&2; echo why >&$status; exit 1", APP_LISTENER, "ended ", "why", NULL,
		INSTANCE_BEGUN, false },
};

static void test_ends(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;

		setup(&f, ends[i].script, ends[i].interface, 0, 0);
		await(&f, ends[i].history);
		assert_string_equal(f.reason, ends[i].reason);
		assert_string_equal(
			f.ran_reason, ends[i].ran_reason ? ends[i].ran_reason : ends[i].reason);
		assert_int_equal(f.stage, ends[i].stage);
		assert_int_equal(f.content, ends[i].content);
		/* What ran is the owner's again. */
		assert_string_equal(f.plan.module, "app.wasm");
		teardown(&f);
	}
}

/* However well it ends, and whatever it says: nobody can visit any more. */
static void test_shut(void **state)
{
	for (int shut = 0; shut < 2; shut++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct fixture f;
		char go[80];

		assert_int_equal(listen(fd, 1), 0);
		setup(&f,
			"echo >&$status; until [ -e go ]; do sleep 0.02; done; echo goodbye "
			">&$status; exit 0",
			APP_LISTENER, 0, 0);
		f.config.listen_fd = fd;
		await(&f, "ready ");
		if (shut)
			assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
		snprintf(go, sizeof go, "%s/go", f.dir);
		assert_int_equal(mkdir(go, 0700), 0);
		await(&f, "ready ended ");
		assert_int_equal(f.content, !shut);
		assert_string_equal(f.ran_reason, shut ? GATE_SHUT : "goodbye");
		teardown(&f);
		(void)close(fd);
	}
}

static void test_late(void **state)
{
	struct fixture f;

	setup(&f, "exec sleep 1000", APP_LISTENER, 10, 0);
	await(&f, "late ended ");
	assert_memory_equal(f.reason, "it has not turned to its listening socket in 10ms: ", 51);
	assert_string_equal(f.ran_reason, f.reason);
	teardown(&f);
}

/* A step that comes when it was told to end doesn't make it ready. */
static void test_ready_too_late(void **state)
{
	struct fixture f;

	setup(&f, "trap 'echo >&$status; exit 0' TERM; sleep 1000 & wait", APP_LISTENER, 1000, 0);
	await(&f, "late ended ");
	assert_int_equal(f.stage, INSTANCE_LISTENING);
	teardown(&f);
}

static void test_drain(void **state)
{
	struct fixture f;

	setup(&f, SERVE, APP_LISTENER, 0, 0);
	await(&f, "ready ");
	instance_drain(f.instance);
	assert_int_equal(f.instance->state, INSTANCE_DRAINING);
	await(&f, "ready ended ");
	assert_string_equal(f.ran_reason, "exit code 5");
	teardown(&f);
}

/* It is ended when it takes too long, which is no news to anybody. */
static void test_drain_takes_too_long(void **state)
{
	struct fixture f;

	setup(&f, "trap '' USR1; echo >&$status; exec sleep 1000", APP_LISTENER, 0, 10);
	await(&f, "ready ");
	instance_drain(f.instance);
	await(&f, "ready ended ");
	assert_string_equal(f.ran_reason, "killed by signal 15 (Terminated)");
	teardown(&f);
}

static void test_drain_before_it_is_ready(void **state)
{
	struct fixture f;

	setup(&f, "exec sleep 1000", APP_LISTENER, 0, 0);
	instance_drain(f.instance);
	assert_int_equal(f.instance->state, INSTANCE_ENDING);
	await(&f, "ended ");
	teardown(&f);
}

static void test_kill_after_term(void **state)
{
	struct fixture f;

	setup(&f, "trap '' TERM; echo >&$status; while :; do sleep 1000; done", APP_LISTENER, 0, 0);
	await(&f, "ready ");
	instance_end(f.instance);
	assert_int_equal(f.instance->state, INSTANCE_ENDING);
	await(&f, "ready ended ");
	assert_string_equal(f.ran_reason, "killed by signal 9 (Killed)");
	teardown(&f);
}

static void test_kill_at_once(void **state)
{
	struct fixture f;

	setup(&f, "trap '' TERM; echo >&$status; while :; do sleep 1000; done", APP_LISTENER, 0, 0);
	await(&f, "ready ");
	instance_end(f.instance);
	instance_kill(f.instance);
	await(&f, "ready ended ");
	assert_string_equal(f.ran_reason, "killed by signal 9 (Killed)");
	instance_end(NULL);
	instance_kill(NULL);
	teardown(&f);
}

static void test_edges(void **state)
{
	static const bool edges[INSTANCE_STATES][INSTANCE_STATES] = {
		[INSTANCE_NEW][INSTANCE_STARTING] = true,
		[INSTANCE_STARTING][INSTANCE_READY] = true,
		[INSTANCE_STARTING][INSTANCE_ENDING] = true,
		[INSTANCE_STARTING][INSTANCE_ENDED] = true,
		[INSTANCE_READY][INSTANCE_DRAINING] = true,
		[INSTANCE_READY][INSTANCE_ENDING] = true,
		[INSTANCE_READY][INSTANCE_ENDED] = true,
		[INSTANCE_DRAINING][INSTANCE_ENDING] = true,
		[INSTANCE_DRAINING][INSTANCE_ENDED] = true,
		[INSTANCE_ENDING][INSTANCE_ENDED] = true,
	};

	for (int from = 0; from < INSTANCE_STATES; from++)
		for (int to = 0; to < INSTANCE_STATES; to++)
			assert_int_equal(instance_edge(from, to), edges[from][to]);
}

/* A new one can't end: who brings it to that has made a mistake, and stops there. */
static void test_refused_edge(void **state)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct fixture f;

		(void)!freopen("/dev/null", "w", stderr);
		setup(&f, "exit 0", APP_LISTENER, 0, 0);
		f.instance->state = INSTANCE_NEW;
		(void)nftw(f.dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
		await(&f, "ended ");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_refused_edge),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_shut),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_ready_too_late),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_drain_takes_too_long),
		cmocka_unit_test(test_drain_before_it_is_ready),
		cmocka_unit_test(test_kill_after_term),
		cmocka_unit_test(test_kill_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
