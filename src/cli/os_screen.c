/* SPDX-License-Identifier: MIT */
#include "cli/os_screen.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json_line.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/printable.h"
#include "base/tty.h"
#include "cli/terminal.h"
#include "net/addr.h"
#include "os/api.h"
#include "os/exposure.h"
#include "os/forward.h"
#include "os/qr.h"
#include "os/run.h"
#include "os/run_config.h"
#include "os/supervisor.h"

/* How long an application's first lines wait for the block, since most are said right before it;
 * and how long the block waits for the public address. */
#define HOLD_MS 500
#define QR_BESIDE 3 /* lines that are seen with it: the address, a note, the cursor's */
#define ROW_HEAD 15 /* columns before a row's value */
#define SHARED "anyone with this address can reach the application, and there is no TLS"

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define CYAN "\033[36m"
#define OFF "\033[0m"

void os_screen_open(struct os_screen *s, const struct os_run_config *config)
{
	*s = (struct os_screen){ .config = config, .opened_ms = clock_now_ms() };
	if (config->log_format == OS_LOG_JSON)
		s->look = OS_SCREEN_JSON;
	else if (config->log_format == OS_LOG_AUTO && isatty(STDOUT_FILENO) &&
		 isatty(STDERR_FILENO))
		s->look = OS_SCREEN_TERMINAL;
	log_set_format(s->look == OS_SCREEN_JSON       ? LOG_FORMAT_JSON
		       : s->look == OS_SCREEN_TERMINAL ? LOG_FORMAT_TERMINAL
						       : LOG_FORMAT_PLAIN);
	if (s->look == OS_SCREEN_TERMINAL && !config->quiet && !config->verbose)
		log_set_level(LOG_LEVEL_INFO);
}

static void screen_on_hold_end(uv_timer_t *timer);
static void screen_show_block(const struct os_screen *s);

/* --- writing --- */

/* As much as there is room for: a terminal takes a part of a text. */
static bool screen_put(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len; text += n, len -= (size_t)n) {
		n = fd_has_room(fd) ? write(fd, text, len) : -1;
		if (n < 0)
			return false;
	}
	return true;
}

static void screen_put_object(struct json_line *object)
{
	json_line_end(object);
	(void)screen_put(STDOUT_FILENO, object->text, object->len);
}

static void screen_begin_object(struct json_line *object, const char *message)
{
	json_line_begin(object, clock_wall_ms(), "info", "os");
	json_line_add_text(object, "message", message);
}

/* A text for the terminal, written as a whole when it is closed. */
struct sheet {
	FILE *out; /* NULL: out of memory */
	char *text;
	size_t len;
	bool colours;
};

static void sheet_open(struct sheet *sheet)
{
	*sheet = (struct sheet){ .colours = tty_has_colours(STDOUT_FILENO) };
	sheet->out = open_memstream(&sheet->text, &sheet->len);
	if (sheet->out)
		(void)fputs(log_erase_line(), sheet->out);
}

static void sheet_close(struct sheet *sheet)
{
	if (sheet->out && fclose(sheet->out) == 0)
		(void)screen_put(STDOUT_FILENO, sheet->text, sheet->len);
	free(sheet->text);
}

static const char *sheet_sgr(const struct sheet *sheet, const char *sequence)
{
	return sheet->colours ? sequence : "";
}

/* A note that doesn't fit beside the value has lines of its own. */
static void sheet_row(struct sheet *sheet, const char *label, const char *value, const char *note)
{
	size_t columns;

	if (!sheet->out)
		return;
	fprintf(sheet->out, "  %s%-*s%s%s", sheet_sgr(sheet, BOLD), ROW_HEAD - 2, label,
		sheet_sgr(sheet, OFF),
		strncmp(value, "http://", strlen("http://")) == 0 ? sheet_sgr(sheet, CYAN) : "");
	columns = ROW_HEAD + printable_write(sheet->out, value, strlen(value));
	fputs(sheet_sgr(sheet, OFF), sheet->out);
	if (note) {
		columns += 2 + strlen(note);
		fputs(columns <= tty_size_of(STDOUT_FILENO).columns ? "  " : "\n  ", sheet->out);
		fputs(sheet_sgr(sheet, DIM), sheet->out);
		(void)printable_write(sheet->out, note, strlen(note));
		fputs(sheet_sgr(sheet, OFF), sheet->out);
	}
	fputc('\n', sheet->out);
}

/* --- lines --- */

static void screen_show_object(struct os_screen *s, const struct log_line *line)
{
	struct json_line object;
	size_t at = 0, n;

	do {
		json_line_begin(&object, line->time_ms, "info", "app");
		json_line_add_text(&object, "stream", log_stream_name(line->stream));
		n = json_line_add(&object, "message", line->text + at, line->len - at);
		json_line_end(&object);
		if (!screen_put(STDERR_FILENO, object.text, object.len))
			s->unshown++;
		at += n;
	} while (n && at < line->len);
}

/* What the application and its build say is theirs to format, but it must not steer the terminal.
 */
static void screen_show_line(const struct os_screen *s, const struct log_line *line)
{
	const char *build = line->stream == LOG_STREAM_BUILD ? "build " : "";
	bool colours;

	if (s->look == OS_SCREEN_TERMINAL) {
		colours = tty_has_colours(STDERR_FILENO);
		fprintf(stderr, "%s%s%s|%s ", log_erase_line(), colours ? DIM : "", build,
			colours ? OFF : "");
	} else {
		fprintf(stderr, "%s | ", log_stream_name(line->stream));
	}
	terminal_write_line(stderr, line->text, line->len);
	fputc('\n', stderr);
}

static void screen_tell_unshown(struct os_screen *s)
{
	char text[96];
	int len = snprintf(text, sizeof text,
		"%" PRIu64 " lines are not shown: 'wasmrun logs' has them", s->unshown);
	const struct log_line line = { .time_ms = clock_wall_ms(),
		.stream = LOG_STREAM_SUPERVISOR,
		.text = text,
		.len = (size_t)len };

	s->unshown = 0;
	if (s->look == OS_SCREEN_JSON)
		screen_show_object(s, &line);
	else
		screen_show_line(s, &line);
}

/* A terminal may be stopped and a pager may not read on, which must not hold up the loop. Who can
 * be shown lines again is told how many are missing. */
void os_screen_line(struct os_screen *s, const struct log_line *line)
{
	if (line->stream == LOG_STREAM_SUPERVISOR) {
		log_debug("app", "%s", line->text);
		return;
	}
	if (!s->begun && line->stream != LOG_STREAM_BUILD) {
		if (!s->held)
			(void)uv_timer_start(&s->hold_timer, screen_on_hold_end, HOLD_MS, 0);
		s->held = s->held ? s->held : line->seq;
		return;
	}
	if (s->unshown && fd_has_room(STDERR_FILENO))
		screen_tell_unshown(s);
	if (!fd_has_room(STDERR_FILENO))
		s->unshown++;
	else if (s->look == OS_SCREEN_JSON)
		screen_show_object(s, line);
	else
		screen_show_line(s, line);
}

/* What was held is in the ring, but for the beginning of very much. */
static void screen_begin(struct os_screen *s)
{
	struct log_line line;

	if (s->block_waits) {
		s->block_waits = false;
		screen_show_block(s);
	}
	if (s->begun)
		return;
	s->begun = true;
	(void)uv_timer_stop(&s->hold_timer);
	for (uint64_t seq = s->held; seq && seq < log_ring_next(s->run->ring); seq++)
		if (log_ring_get(s->run->ring, seq, &line) &&
			(line.stream == LOG_STREAM_STDOUT || line.stream == LOG_STREAM_STDERR))
			os_screen_line(s, &line);
}

static void screen_on_hold_end(uv_timer_t *timer)
{
	screen_begin(timer->data);
}

void os_screen_start(struct os_screen *s, uv_loop_t *loop, const struct os_run *run)
{
	s->run = run;
	s->begun = s->look != OS_SCREEN_TERMINAL;
	(void)uv_timer_init(loop, &s->hold_timer);
	s->hold_timer.data = s;
}

void os_screen_close(struct os_screen *s)
{
	screen_begin(s);
	if (!uv_is_closing((uv_handle_t *)&s->hold_timer))
		uv_close((uv_handle_t *)&s->hold_timer, NULL);
}

/* --- the addresses --- */

static void screen_show_page(struct os_screen *s)
{
	const char *url = api_url(s->run->api);
	struct json_line object;
	struct sheet sheet;

	if (s->look == OS_SCREEN_JSON) {
		screen_begin_object(&object, "the page is served");
		json_line_add_text(&object, "page", url);
		screen_put_object(&object);
	} else if (s->look == OS_SCREEN_TERMINAL) {
		sheet_open(&sheet);
		sheet_row(&sheet, "Page", url, NULL);
		sheet_close(&sheet);
	} else {
		printf("page:        %s\n", url);
	}
}

static void screen_show_forward(void *owner, const struct forward_status *forward)
{
	char url[ADDR_TEXT_MAX + sizeof "http://"] = "http://", note[64] = "";
	struct sheet *sheet = owner;

	addr_format(&forward->addr, url + strlen(url));
	if (forward->app_port)
		(void)snprintf(note, sizeof note, "port %u of the application", forward->app_port);
	if (sheet)
		sheet_row(sheet, "Forward", url, *note ? note : NULL);
	else if (*note)
		printf("forward:     %s (%s)\n", url, note);
	else
		printf("forward:     %s\n", url);
}

static void screen_put_forward(void *owner, const struct forward_status *forward)
{
	char url[ADDR_TEXT_MAX + sizeof "http://"] = "http://", port[sizeof "65535"];
	struct json_line object;

	addr_format(&forward->addr, url + strlen(url));
	screen_begin_object(&object, "a port is forwarded");
	json_line_add_text(&object, "forward", url);
	(void)snprintf(port, sizeof port, "%u", forward->app_port);
	if (forward->app_port)
		json_line_add_text(&object, "app_port", port);
	screen_put_object(&object);
}

/* The folder's, or the file's; it may stand in `path`. */
static const char *screen_name(const struct os_run_config *config, char path[PATH_MAX])
{
	const char *slash, *whole = realpath(config->project_path, path);

	if (!whole)
		whole = config->project_path;
	slash = strrchr(whole, '/');
	return slash && slash[1] ? slash + 1 : whole;
}

static void screen_show_headline(
	const struct os_screen *s, struct sheet *sheet, const struct supervisor_status *app)
{
	char path[PATH_MAX];
	const char *name;

	if (!sheet->out)
		return;
	name = screen_name(s->config, path);
	fprintf(sheet->out, "\n  %s", sheet_sgr(sheet, BOLD));
	(void)printable_write(sheet->out, name, strlen(name));
	fprintf(sheet->out, "%s is running (%s), ready in %.1f s\n\n", sheet_sgr(sheet, OFF),
		app->kind, (double)(s->ready_ms - s->opened_ms) / 1000);
}

/* The code for a camera is drawn where there is room for it beside the address. */
static void screen_show_public(struct sheet *sheet, const char *url)
{
	struct tty_size size = tty_size_of(STDOUT_FILENO);

	sheet_row(sheet, "Public", url, SHARED);
	if (sheet->out && sheet->colours && size.rows > QR_BESIDE)
		(void)qr_write_terminal(sheet->out, url, size.columns, size.rows - QR_BESIDE);
}

static void screen_show_block(const struct os_screen *s)
{
	const struct os_run *run = s->run;
	struct supervisor_status app;
	struct exposure_status exposure;
	struct sheet sheet;
	char connecting[300];

	supervisor_status(run->supervisor, &app);
	exposure_status(run->exposure, &exposure);
	sheet_open(&sheet);
	screen_show_headline(s, &sheet, &app);
	if (app.url)
		sheet_row(&sheet, "Application", app.url, NULL);
	forwards_each(run->forwards, screen_show_forward, &sheet);
	sheet_row(&sheet, "Page", api_url(run->api), NULL);
	if (s->config->no_isolation)
		sheet_row(&sheet, "Isolation", "none", "it has your rights (--no-isolation)");
	else if (s->namespaces < 0)
		sheet_row(&sheet, "Isolation", "without namespaces", strerror(-s->namespaces));
	(void)snprintf(connecting, sizeof connecting, "connecting to %s", s->config->tunnel_server);
	if (exposure.public_url)
		screen_show_public(&sheet, exposure.public_url);
	else if (exposure.tunnel.state == TUNNEL_FAILED)
		sheet_row(&sheet, "Public", "not shared", "the reason stands below");
	else if (s->config->expose)
		sheet_row(&sheet, "Public", connecting, NULL);
	else
		sheet_row(&sheet, "Public", "not shared", "'wasmrun tunnel start' shares it");
	if (sheet.out)
		fputc('\n', sheet.out);
	sheet_close(&sheet);
}

void os_screen_ready(struct os_screen *s)
{
	const struct os_run *run = s->run;
	struct supervisor_status app;
	struct json_line object;

	supervisor_status(run->supervisor, &app);
	s->ready_ms = clock_now_ms();
	if (s->look == OS_SCREEN_TERMINAL) {
		s->block_waits = true;
		if (s->config->expose && !s->begun) {
			(void)uv_timer_start(&s->hold_timer, screen_on_hold_end, HOLD_MS, 0);
			return;
		}
	} else if (s->look == OS_SCREEN_JSON) {
		screen_begin_object(&object, "the application is ready");
		json_line_add_text(&object, "application", app.url);
		json_line_add_text(&object, "kind", app.kind);
		screen_put_object(&object);
		forwards_each(run->forwards, screen_put_forward, NULL);
		screen_show_page(s);
	} else {
		printf("application: %s (%s)\n", app.url, app.kind);
		forwards_each(run->forwards, screen_show_forward, NULL);
		screen_show_page(s);
	}
	screen_begin(s);
}

void os_screen_public(struct os_screen *s)
{
	struct exposure_status status;
	struct json_line object;
	struct sheet sheet;

	if (s->block_waits) {
		screen_begin(s);
		return;
	}
	exposure_status(s->run->exposure, &status);
	if (s->look == OS_SCREEN_TERMINAL) {
		sheet_open(&sheet);
		screen_show_public(&sheet, status.public_url);
		if (sheet.out)
			fputc('\n', sheet.out);
		sheet_close(&sheet);
		return;
	}
	if (s->look == OS_SCREEN_JSON) {
		screen_begin_object(&object, "the application has a public address");
		json_line_add_text(&object, "public", status.public_url);
		screen_put_object(&object);
	} else {
		printf("public:      %s\n", status.public_url);
	}
	log_info("os", SHARED);
}

/* --- what happens --- */

/* One line, for as long as it is the last one. */
void os_screen_building(struct os_screen *s, const char *what)
{
	bool colours = tty_has_colours(STDERR_FILENO);

	if (s->look != OS_SCREEN_TERMINAL || !log_enabled(LOG_LEVEL_INFO) ||
		log_enabled(LOG_LEVEL_STEP))
		return;
	fprintf(stderr, "%s%s  building (", log_erase_line(), colours ? DIM : "");
	(void)printable_write(stderr, what, strlen(what));
	fprintf(stderr, ") ...%s", colours ? OFF : "");
	if (tty_is_smart(STDERR_FILENO))
		log_leave_line();
	else
		fputc('\n', stderr);
	(void)fflush(stderr);
}

/* Before the log says why, which its own words may explain. */
void os_screen_down(struct os_screen *s)
{
	screen_begin(s);
}

void os_screen_again(struct os_screen *s)
{
	if (s->look == OS_SCREEN_TERMINAL)
		log_info("app", "it takes connections again");
}

void os_screen_waits(struct os_screen *s)
{
	if (!s->page_shown)
		screen_show_page(s);
	s->page_shown = true;
	log_info("app", "waiting for a change (--watch)");
}

void os_screen_ends(struct os_screen *s)
{
	screen_begin(s);
	if (s->look != OS_SCREEN_TERMINAL)
		return;
	/* It begins with the ^C that the terminal has echoed. */
	if (tty_is_smart(STDERR_FILENO))
		log_leave_line();
	log_info("os", "ending; a second Ctrl-C leaves the application no time");
	if (!s->config->verbose && !s->config->quiet)
		log_set_level(LOG_LEVEL_WARN);
}
