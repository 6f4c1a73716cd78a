/* SPDX-License-Identifier: MIT */
/*
 * The outline of a binary module (WebAssembly core specification, "Binary Format", 5.5): magic,
 * version, then sections, each an identifier and its length in LEB128. A component's is the same.
 * Names that say what the file is for are looked up in one table.
 */
#include "app/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/foreign.h"
#include "app/names.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"

#define HEADER_LEN 8
#define SECTION_HEADER_MAX 6      /* identifier, and 32 bits in LEB128 */
#define SECTIONS_MAX 16384        /* a module has a dozen, a component many small ones */
#define NAMES_READ_MAX (4U << 20) /* what is looked at of all sections with names */
#define CUSTOM_READ_MAX 4096U     /* of each custom one: those of debuggers are large */
#define SHOWN_MAX 256             /* of a path in a message */

#define START "_start" /* preview 1's name for the function main */

#define SECTION_CUSTOM 0
#define SECTION_IMPORT 2
#define SECTION_EXPORT 7
#define SECTION_COMPONENT_EXPORT 11

static const uint8_t magic[4] = { 0, 'a', 's', 'm' };
static const uint8_t core_version[4] = { 1, 0, 0, 0 };
/* Component model, Binary.md: the layer stands in the upper half. */
static const uint8_t component_layer[2] = { 1, 0 };

const char *const app_interface_words[APP_INTERFACES + 1] = {
	[APP_LISTENER] = "preview1",
	[APP_SOCKETS] = "preview1-sockets",
	[APP_CGI] = "cgi",
	[APP_HTTP] = "component-http",
	[APP_COMMAND] = "component",
	[APP_FILES] = "static",
};

/* What the names say, the strongest first. Several versions may stand behind a prefix. */
static const struct {
	const char *module; /* that it is imported from; "": a component exports it */
	const char *prefix;
	enum app_interface interface;
} marks[] = {
	{ "wasi_snapshot_preview1", "sock_listen", APP_SOCKETS },
	{ "wasi_snapshot_preview1", "sock_accept", APP_LISTENER },
	{ "", "wasi:http/incoming-handler@0.2", APP_HTTP },
	{ "", "wasi:http/handler@0.3", APP_HTTP },
	{ "", "wasi:cli/run@0.", APP_COMMAND },
};

/* The strongest first: Rust's library is partly C. */
static const struct {
	const char *section, *prefix; /* of a custom section, and of a value in it */
	enum app_language language;
} languages[] = {
	{ "producers", "Rust", LANGUAGE_RUST },
	{ "go:buildid", "", LANGUAGE_GO },
	{ "producers", "C", LANGUAGE_C }, /* C11, C_plus_plus_14, ... */
	{ "producers", "clang", LANGUAGE_C },
};

/* What has been found out so far. */
struct scan {
	int fd;
	bool component;
	size_t left;         /* bytes that may still be looked at; 0: something was not */
	bool exports;        /* something */
	bool starts;         /* what is called first, too */
	size_t mark;         /* the strongest, or their number */
	size_t language;     /* likewise */
	const char *foreign; /* what is wrong with it, or NULL */
};

static bool module_name_starts(const struct name *name, const char *prefix)
{
	return name->len >= strlen(prefix) && memcmp(name->text, prefix, strlen(prefix)) == 0;
}

static bool module_name_is(const struct name *name, const char *text)
{
	return name->len == strlen(text) && module_name_starts(name, text);
}

static void on_name(void *arg, const struct name *module, const struct name *name)
{
	struct scan *scan = arg;

	if (!scan->foreign)
		scan->foreign = module->len
					? foreign_find(FOREIGN_IMPORT, module->text, module->len)
					: foreign_find(scan->component ? FOREIGN_COMPONENT_EXPORT
								       : FOREIGN_EXPORT,
						  name->text, name->len);
	scan->exports = scan->exports || !module->len;
	if (!module->len && name->len == strlen(START) && module_name_starts(name, START))
		scan->starts = true;
	/* A component's core exports the same names before it is made into one. */
	if (!module->len && !scan->component)
		return;
	for (size_t i = 0; i < scan->mark; i++)
		if (module_name_is(module, marks[i].module) &&
			module_name_starts(name, marks[i].prefix))
			scan->mark = i;
}

static void on_custom(void *arg, const struct name *section, const struct name *value)
{
	struct scan *scan = arg;

	for (size_t i = 0; i < scan->language; i++)
		if (module_name_is(section, languages[i].section) &&
			module_name_starts(value, languages[i].prefix))
			scan->language = i;
}

/* Which sections are looked at. */
static const struct section {
	bool component;
	uint8_t id;
	size_t max; /* of each, in bytes; 0: of all together */
	void (*read)(const uint8_t *bytes, size_t len, name_fn fn, void *arg);
	name_fn fn;
} sections[] = {
	{ false, SECTION_CUSTOM, CUSTOM_READ_MAX, names_read_custom, on_custom },
	{ false, SECTION_IMPORT, 0, names_read_imports, on_name },
	{ false, SECTION_EXPORT, 0, names_read_exports, on_name },
	{ true, SECTION_COMPONENT_EXPORT, 0, names_read_component_exports, on_name },
};

/* What can't be read, or isn't sound, the engine will complain about. */
static int module_scan_section(struct scan *scan, uint8_t id, uint64_t at, uint32_t len)
{
	const struct section *section = NULL;
	uint8_t *bytes;
	size_t size;
	ssize_t n;

	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (sections[i].component == scan->component && sections[i].id == id)
			section = &sections[i];
	if (!section)
		return 0;
	if (section->max) {
		size = min_u64(len, section->max);
	} else {
		size = min_u64(len, scan->left);
		scan->left -= size;
	}
	bytes = malloc(size ? size : 1);
	if (!bytes)
		return -ENOMEM;
	n = pread(scan->fd, bytes, size, (off_t)at);
	if (n > 0)
		section->read(bytes, (size_t)n, section->fn, scan);
	free(bytes);
	return 0;
}

/* The section's length, and where it begins behind `at`. False: the bytes are cut off or too many.
 */
static bool module_parse_section(
	const uint8_t *bytes, size_t len, size_t *ret_header, uint32_t *ret_len)
{
	uint64_t value = 0;

	for (size_t i = 1; i < len; i++) {
		value |= (uint64_t)(bytes[i] & 0x7f) << (7 * (i - 1));
		if (!(bytes[i] & 0x80)) {
			*ret_header = i + 1;
			*ret_len = (uint32_t)value;
			return value <= UINT32_MAX;
		}
	}
	return false;
}

/* What is wrong with the sections, or NULL. */
static const char *module_check_sections(struct scan *scan, uint64_t size)
{
	uint64_t at = HEADER_LEN;
	uint8_t bytes[SECTION_HEADER_MAX];

	for (unsigned i = 0; at < size; i++) {
		size_t header;
		uint32_t len;
		ssize_t n = pread(scan->fd, bytes, sizeof bytes, (off_t)at);

		if (i == SECTIONS_MAX)
			return "is no sound WebAssembly module: it has too many sections";
		if (n <= 0)
			return "can't be read to its end";
		if (!module_parse_section(bytes, (size_t)n, &header, &len))
			return (size_t)n < sizeof bytes ? "is truncated"
							: "is no sound WebAssembly module";
		at += header;
		if (module_scan_section(scan, bytes[0], at, len) < 0)
			return "can't be looked at: there is not enough memory";
		at += len;
	}
	return at > size ? "is truncated" : NULL;
}

static const char *module_check_header(const uint8_t *bytes, size_t len)
{
	if (memcmp(bytes, magic, len < sizeof magic ? len : sizeof magic) != 0 || len == 0)
		return "is no WebAssembly module";
	if (len < HEADER_LEN)
		return "is truncated";
	if (memcmp(bytes + 6, component_layer, sizeof component_layer) == 0)
		return NULL;
	if (memcmp(bytes + 4, core_version, sizeof core_version) != 0)
		return "is of a WebAssembly version that isn't known here";
	return NULL;
}

static int module_fail(const char *path, int r, const char *what, char *ret_why)
{
	char shown[SHOWN_MAX];

	snprintf(ret_why, APP_WHY_MAX, "'%s' %s",
		log_escape(shown, sizeof shown, path, strlen(path)), what);
	return r;
}

static int module_unread(const char *path, int r, char *ret_why)
{
	char shown[SHOWN_MAX];

	snprintf(ret_why, APP_WHY_MAX, "can't read '%s': %s",
		log_escape(shown, sizeof shown, path, strlen(path)), strerror(-r));
	return r;
}

/* Of what is named in it; NULL, or what is wrong. */
static const char *module_scan_result(const struct scan *scan, struct module_info *ret_info)
{
	if (scan->foreign)
		return scan->foreign;
	if (scan->component && scan->mark == ARRAY_LEN(marks))
		return "is a component that is no application: it exports neither "
		       "wasi:http/incoming-handler@0.2, wasi:http/handler@0.3 nor wasi:cli/run";
	if (!scan->component && scan->exports && !scan->starts && scan->left > 0)
		return "is a library, not a program: it exports no " START " function; one for "
		       "a page is served with that page's folder (--kind static), others need a "
		       "program around them";
	ret_info->interface = scan->mark < ARRAY_LEN(marks) ? marks[scan->mark].interface : APP_CGI;
	if (scan->language < ARRAY_LEN(languages))
		ret_info->language = languages[scan->language].language;
	return NULL;
}

static int module_inspect_folder(const char *path, struct module_info *ret_info, char *ret_why)
{
	_cleanup_(fd_closep) int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || faccessat(dir, "index.html", R_OK, 0) < 0)
		return module_fail(path, -EINVAL,
			"is a folder without an index.html: name a module with --wasm FILE",
			ret_why);
	ret_info->interface = APP_FILES;
	return 0;
}

int module_inspect(const char *path, struct module_info *ret_info, char ret_why[APP_WHY_MAX])
{
	struct scan scan = {
		.mark = ARRAY_LEN(marks), .language = ARRAY_LEN(languages), .left = NAMES_READ_MAX
	};
	_cleanup_(fd_closep) int fd = -1;
	uint8_t header[HEADER_LEN];
	const char *wrong;
	uint64_t size;
	ssize_t n;
	int r = file_open_limited(path, MODULE_SIZE_MAX, &fd, &size);

	*ret_info = (struct module_info){ .interface = APP_LISTENER, .language = LANGUAGE_OTHER };
	if (r == -EISDIR)
		return module_inspect_folder(path, ret_info, ret_why);
	if (r == -ESPIPE || r == -ENODEV)
		return module_fail(path, -EINVAL, "is no regular file", ret_why);
	if (r == -EFBIG)
		return module_fail(path, r, "is larger than " MODULE_SIZE_TEXT, ret_why);
	if (r < 0)
		return module_unread(path, r, ret_why);
	n = pread(fd, header, sizeof header, 0);
	if (n < 0)
		return module_unread(path, -errno, ret_why);
	wrong = module_check_header(header, (size_t)n);
	scan.fd = fd;
	scan.component = !wrong && header[6] == component_layer[0];
	if (!wrong)
		wrong = module_check_sections(&scan, size);
	if (!wrong)
		wrong = module_scan_result(&scan, ret_info);
	return wrong ? module_fail(path, -EINVAL, wrong, ret_why) : 0;
}

const char *module_hint(const struct module_info *info, enum app_interface run_as, unsigned fd,
	char ret_hint[MODULE_HINT_MAX])
{
	const char *call = "", *end = "";
	char hint[LANGUAGE_HINT_MAX];

	if (info->interface != APP_LISTENER && info->interface != APP_CGI) {
		(void)snprintf(ret_hint, MODULE_HINT_MAX,
			"a server takes its connections from the first port that it binds");
		return ret_hint;
	}
	if (info->interface == APP_CGI)
		call = run_as == APP_CGI ? "it has no call to take connections with, so it is run "
					   "for each request (CGI); "
					 : "it has no call to take connections with; ";
	if (run_as != APP_CGI)
		end = "; a program that answers one request on standard output is run with "
		      "wasmrun os --kind cgi";
	(void)snprintf(ret_hint, MODULE_HINT_MAX, "%s%s%s", call,
		language_hint(info->language, fd, hint), end);
	return ret_hint;
}
