/* SPDX-License-Identifier: MIT */
/*
 * A runtime is embedded in its command, and so are its handles; the loop owns nothing.
 *
 * Its life:
 *   runtime_open()   all of it, or nothing: what is open when a later part fails is closed again
 *   runtime_run()    the command's own objects live on the loop
 *   a signal         is passed on to the command. That closes its own objects first, and calls
 *                    runtime_close() when they are gone: their connections are pumped by the pool
 *   runtime_close()  the pool; when it is gone the metrics and the signals, and the loop stops
 *   the last turns   until every handle is closed, which is when runtime_run() returns
 */
#include "cli/runtime.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/common_options.h"
#include "cli/event.h"
#include "cli/exit_code.h"
#include "cli/process.h"
#include "net/host.h"
#include "net/pump_pool.h"

static const int runtime_signals[RUNTIME_SIGNALS] = {
	[RUNTIME_TERM] = SIGTERM,
	[RUNTIME_INT] = SIGINT,
	[RUNTIME_HUP] = SIGHUP,
};

static void runtime_on_signal(uv_signal_t *handle, int number)
{
	struct runtime *rt = handle->data;
	enum runtime_signal signal = (enum runtime_signal)(handle - rt->signals);

	/* A terminal that hangs up ends what runs on it. kill(1) leaves the terminal where it is.
	 */
	if (signal == RUNTIME_HUP && rt->on_terminal && !isatty(STDIN_FILENO))
		signal = RUNTIME_INT;
	if (signal == RUNTIME_HUP) {
		if (!rt->ending)
			rt->handlers.hup(rt->handlers.owner);
	} else if (!rt->ending) {
		rt->ending = true;
		rt->handlers.end(rt->handlers.owner, signal);
	} else {
		/* The next one is the kernel's business again. */
		(void)uv_signal_stop(&rt->signals[RUNTIME_TERM]);
		(void)uv_signal_stop(&rt->signals[RUNTIME_INT]);
		rt->handlers.end_now(rt->handlers.owner);
	}
}

static int runtime_open_signals(struct runtime *rt)
{
	int r;

	for (size_t i = 0; i < RUNTIME_SIGNALS; i++) {
		r = uv_signal_init(&rt->loop, &rt->signals[i]);
		if (r < 0)
			return r;
		rt->signals[i].data = rt;
		r = uv_signal_start(&rt->signals[i], runtime_on_signal, runtime_signals[i]);
		if (r < 0)
			return r;
		/* Signals alone are no reason to go on. */
		uv_unref((uv_handle_t *)&rt->signals[i]);
	}
	return 0;
}

int runtime_listen_error(int error, const struct addr *addr, const char *option)
{
	static const struct {
		int error;
		const char *text;
	} remedies[] = {
		{ -EADDRINUSE, "another program listens there: end it, or choose another port" },
		{ -EACCES,
			"ports below 1024 are for root and CAP_NET_BIND_SERVICE: choose another" },
		{ -EADDRNOTAVAIL, "this machine has no such address: choose another" },
		{ -EAFNOSUPPORT, "this machine has no IPv6: choose an IPv4 address" },
	};
	const char *remedy = strerror(-error);
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(remedies); i++)
		if (remedies[i].error == error)
			remedy = remedies[i].text;
	log_error("listen", "can't listen on %s: %s (%s)", addr_format(addr, text), remedy, option);
	return EXIT_CODE_LISTEN;
}

static void runtime_on_metrics_closed(void *owner)
{
}

int runtime_open_metrics(struct runtime *rt, const struct common_values *values)
{
	char text[ADDR_TEXT_MAX];
	struct host host;
	int r;

	if (!values->metrics)
		return EXIT_CODE_OK;
	host = host_of(HOST_ADDRESS_PORT, values->metrics);
	rt->metrics.write = rt->handlers.write_metrics;
	rt->metrics.closed = runtime_on_metrics_closed;
	rt->metrics.owner = rt->handlers.owner;
	r = metrics_server_open(&rt->metrics, &rt->loop, &host.addr);
	if (r < 0)
		return runtime_listen_error(r, &host.addr, "--metrics");
	rt->serves_metrics = true;
	addr_format(&rt->metrics.listener.addr, text);
	log_info("metrics", "serving at http://%s/metrics", text);
	if (values->json)
		event_write("metrics", "{s:s}", "address", text);
	return EXIT_CODE_OK;
}

void runtime_close_metrics(struct runtime *rt)
{
	if (rt->serves_metrics)
		metrics_server_close(&rt->metrics);
	rt->serves_metrics = false;
}

static int runtime_fail(const char *what, int error)
{
	log_error("runtime", "can't start %s: %s", what, strerror(-error));
	return EXIT_CODE_FAILED;
}

int runtime_open(struct runtime *rt, const struct common_values *values,
	const struct runtime_handlers *handlers)
{
	struct pump_pool_config pool;
	int r, code;

	*rt = (struct runtime){ .handlers = *handlers, .on_terminal = isatty(STDIN_FILENO) };
	process_raise_nofile();
	process_unblock_output();
	r = uv_loop_init(&rt->loop);
	if (r < 0)
		return runtime_fail("the event loop", r);
	code = runtime_open_metrics(rt, values);
	if (code == EXIT_CODE_OK) {
		common_options_pool(values, &pool);
		pool.waits = true;
		r = pump_pool_new(&rt->loop, &pool, &rt->pool);
		if (r < 0)
			code = runtime_fail("the workers", r);
	}
	if (code == EXIT_CODE_OK) {
		r = runtime_open_signals(rt);
		if (r < 0)
			code = runtime_fail("the signals", r);
	}
	if (code != EXIT_CODE_OK) {
		runtime_close(rt);
		(void)runtime_run(rt, &code);
	}
	return code;
}

static void runtime_on_handle_left(uv_handle_t *handle, void *owner)
{
	*(bool *)owner = true;
}

static bool runtime_has_handles(struct runtime *rt)
{
	bool left = false;

	uv_walk(&rt->loop, runtime_on_handle_left, &left);
	return left;
}

int runtime_run(struct runtime *rt, const int *code)
{
	int r;

	(void)uv_run(&rt->loop, UV_RUN_DEFAULT); /* until runtime_on_pool_closed() */
	/* What is left is closing, so no turn waits for anything. */
	while (runtime_has_handles(rt))
		(void)uv_run(&rt->loop, UV_RUN_ONCE);
	r = uv_loop_close(&rt->loop);
	if (r == UV_EBUSY) {
		/* A thread of libuv's is in getaddrinfo(3), or in a job on files that don't answer
		 * (os/job.h), and exit(3) would join it. */
		(void)fflush(NULL);
		_exit(*code);
	}
	assert(r == 0);
	return *code;
}

static void runtime_on_pool_closed(void *owner)
{
	struct runtime *rt = owner;

	rt->pool = NULL;
	runtime_close_metrics(rt);
	for (size_t i = 0; i < RUNTIME_SIGNALS; i++)
		if (rt->signals[i].data)
			uv_close((uv_handle_t *)&rt->signals[i], NULL);
	uv_stop(&rt->loop);
}

void runtime_close(struct runtime *rt)
{
	if (rt->closing)
		return;
	rt->closing = true;
	if (rt->pool)
		pump_pool_close(rt->pool, runtime_on_pool_closed, rt);
	else
		runtime_on_pool_closed(rt);
}

int runtime_conn_log_error(int error, const char *path)
{
	char shown[256];

	log_error("runtime",
		"can't write the connection log '%s': %s; name a file that can be created",
		log_escape(shown, sizeof shown, path, strlen(path)), file_why(error));
	return EXIT_CODE_FILE;
}
