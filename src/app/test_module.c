/* SPDX-License-Identifier: MIT */
/* Files against what is said of them. */
#include "app/module.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"

#define CORE "\0asm\1\0\0\0"
#define BYTES(text) text, sizeof(text) - 1

#define COMPONENT "\0asm\x0d\0\1\0"

/* Sections with a single import or export, whose names are as long as the digit pairs say. */
#define PREVIEW1 "\x16wasi_snapshot_preview1"
#define WRITE                           \
	CORE "\2\x23\1" PREVIEW1 "\x08" \
	     "fd_write\0\0"
#define ACCEPT CORE "\2\x26\1" PREVIEW1 "\x0bsock_accept\0\0"
#define BOTH CORE "\2\x4b\2" PREVIEW1 "\x0bsock_listen\0\0" PREVIEW1 "\x0bsock_accept\0\1"
#define HTTP "\x0b\x26\1\0\x20wasi:http/incoming-handler@0.2.3\5\0\0"
#define HTTP3 "\x0b\x1d\1\0\x17wasi:http/handler@0.3.0\5\0\0"
#define RUN "\x0b\x18\1\0\x12wasi:cli/run@0.2.0\5\1\0"

static const struct {
	const char *bytes;
	size_t len;
	const char *why; /* NULL: it is good */
	enum app_interface interface;
} cases[] = {
	{ BYTES(CORE), NULL, APP_CGI },
	{ BYTES(CORE "\1\0"), NULL, APP_CGI },
	{ BYTES(CORE "\1\2xx\0\3abc"), NULL, APP_CGI },
	/* A length may be written in more bytes than it needs. */
	{ BYTES(CORE "\1\x82\x80\x80\x80\0xx"), NULL, APP_CGI },
	{ BYTES(WRITE), NULL, APP_CGI },
	{ BYTES(ACCEPT), NULL, APP_LISTENER },
	/* WasmEdge's sockets have a call of that name, too. */
	{ BYTES(BOTH), NULL, APP_SOCKETS },
	{ BYTES(COMPONENT HTTP), NULL, APP_HTTP },
	{ BYTES(COMPONENT HTTP3), NULL, APP_HTTP },
	{ BYTES(COMPONENT RUN), NULL, APP_COMMAND },
	{ BYTES(COMPONENT RUN HTTP), NULL, APP_HTTP },
	/* What a component's core exports makes no component of it. */
	{ BYTES(CORE "\7\x2d\2\x20wasi:http/incoming-handler@0.2.3\0\0\6_start\0\1"), NULL,
		APP_CGI },
	{ BYTES(WRITE "\7\x0a\1\6_start\0\0"), NULL, APP_CGI },
	/* AssemblyScript's, for a page. */
	{ BYTES(CORE "\7\7\1\3add\0\0"),
		"is a library, not a program: it exports no _start function; one for a page is "
		"served with that page's folder (--kind static), others need a program around "
		"them" },
	{ BYTES(WRITE "\7\x0b\1\7_starts\0\0"),
		"is a library, not a program: it exports no _start function; one for a page is "
		"served with that page's folder (--kind static), others need a program around "
		"them" },
	{ BYTES(""), "is no WebAssembly module" },
	{ BYTES("#!/bin/sh\n"), "is no WebAssembly module" },
	{ BYTES("\0as"), "is truncated" },
	{ BYTES("\0asm\1\0\0"), "is truncated" },
	{ BYTES(COMPONENT),
		"is a component that is no application: it exports neither "
		"wasi:http/incoming-handler@0.2, wasi:http/handler@0.3 nor wasi:cli/run" },
	{ BYTES(COMPONENT HTTP RUN "\1\1"), "is truncated" },
	{ BYTES(COMPONENT "\x0b\x25\1\0\x1f"
			  "fermyon:spin/inbound-http@0.0.0\5\0\0"),
		"is a component for Spin alone, which is not supported; build it for wasi:http" },
	/* It was taken for one of 0.3 itself, and the engine's words about it led nowhere. */
	{ BYTES(COMPONENT "\x0b\x2b\1\0\x25"
			  "wasi:http/handler@0.3.0-rc-2026-01-06\5\0\0"),
		"is a component for a release candidate of WASI 0.3, which no engine here runs; "
		"build it with the interfaces of 0.3.0 itself" },
	{ BYTES(COMPONENT "\x0b\x26\1\0\x20"
			  "wasi:cli/run@0.2.0-rc-2023-12-05\5\0\0"),
		"is a component for a release candidate of WASI 0.2, which no engine here runs; "
		"build it with the interfaces of 0.2.0 itself" },
	{ BYTES(CORE "\2\x10\1\x0awasix_32v1\1f\0\0"),
		"was made for WASIX, which is not supported; build it for wasm32-wasip1" },
	{ BYTES(CORE "\2\x13\1\x0dwasi_unstable\1f\0\0"),
		"uses WASI of 2019 (wasi_unstable), which is not supported; build it for "
		"wasm32-wasip1" },
	{ BYTES(CORE "\7\x17\1\x13handle-http-request\0\0"),
		"is a module of Spin 1, which is not supported; build it as a component" },
	{ BYTES("\0asm\2\0\0\0"), "is of a WebAssembly version that isn't known here" },
	{ BYTES(CORE "\1"), "is truncated" },
	{ BYTES(CORE "\1\x80"), "is truncated" },
	{ BYTES(CORE "\1\3xx"), "is truncated" },
	{ BYTES(CORE "\1\2xx\1\xff\xff\xff\xff\x0f"), "is truncated" },
	/* 2^32 and more. */
	{ BYTES(CORE "\1\xff\xff\xff\xff\x1f"), "is no sound WebAssembly module" },
	{ BYTES(CORE "\1\x80\x80\x80\x80\x80\0"), "is no sound WebAssembly module" },
};

static int setup(void **state)
{
	char *path = strdup("/tmp/test_module.XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	*state = path;
	return 0;
}

static int teardown(void **state)
{
	unlink(*state);
	free(*state);
	return 0;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static void test_files(void **state)
{
	char why[APP_WHY_MAX], expected[APP_WHY_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct module_info info;

		write_file(*state, cases[i].bytes, cases[i].len);
		if (!cases[i].why) {
			assert_int_equal(module_inspect(*state, &info, why), 0);
			assert_int_equal(info.interface, cases[i].interface);
			continue;
		}
		assert_int_equal(module_inspect(*state, &info, why), -EINVAL);
		snprintf(expected, sizeof expected, "'%s' %s", (char *)*state, cases[i].why);
		assert_string_equal(why, expected);
	}
}

#define PRODUCERS(len, values) "\0" len "\x09producers\1\x08language" values
#define INSTEAD "a server doesn't listen by itself, but takes its connections from descriptor 5, "
#define NO_CALL "it has no call to take connections with"
#define EACH NO_CALL ", so it is run for each request (CGI); "
#define CGI                                                                                      \
	"; a program that answers one request on standard output is run with wasmrun os --kind " \
	"cgi"

/* A server that listened by itself was told an exit code, and nothing that leads on; one that was
 * run as a server because the user wants it so (--kind preview1), that it was run for each request.
 */
static void test_hints(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum app_interface run_as;
		const char *hint;
	} hints[] = {
		{ BYTES(CORE), APP_CGI, EACH INSTEAD "by sock_accept(5, ...)" },
		{ BYTES(CORE), APP_LISTENER, NO_CALL "; " INSTEAD "by sock_accept(5, ...)" CGI },
		{ BYTES(ACCEPT), APP_CGI, INSTEAD "by sock_accept(5, ...)" },
		{ BYTES(ACCEPT), APP_LISTENER, INSTEAD "by sock_accept(5, ...)" CGI },
		{ BYTES(ACCEPT "\0\x0d\x0ago:buildidxx"), APP_LISTENER,
			INSTEAD "in Go by net.FileListener(os.NewFile(5, \"\"))" CGI },
		{ BYTES(ACCEPT PRODUCERS("\x1a", "\1\3C11\0")), APP_LISTENER,
			INSTEAD "in C by accept(5, NULL, NULL)" CGI },
		/* Rust's library is partly C. */
		{ BYTES(CORE PRODUCERS("\x20", "\2\3C11\0\4Rust\0")), APP_CGI,
			EACH INSTEAD "in Rust by unsafe { TcpListener::from_raw_fd(5) }" },
		{ BYTES(BOTH), APP_SOCKETS,
			"a server takes its connections from the first port that it binds" },
		{ BYTES(COMPONENT RUN), APP_COMMAND,
			"a server takes its connections from the first port that it binds" },
		{ BYTES("junk"), APP_LISTENER, INSTEAD "by sock_accept(5, ...)" CGI },
	};
	char hint[MODULE_HINT_MAX], why[APP_WHY_MAX];
	struct module_info info;

	for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
		write_file(*state, hints[i].bytes, hints[i].len);
		(void)module_inspect(*state, &info, why);
		assert_string_equal(module_hint(&info, hints[i].run_as, 5, hint), hints[i].hint);
	}
}

/* A file of sections without contents must not keep us for long. */
static void test_many_sections(void **state)
{
	static char bytes[8 + 2 * 20000] = CORE;
	struct module_info info;
	char why[APP_WHY_MAX];

	write_file(*state, bytes, sizeof bytes);
	assert_int_equal(module_inspect(*state, &info, why), -EINVAL);
	assert_non_null(strstr(why, "too many sections"));
}

static void test_no_file(void **state)
{
	struct module_info info;
	char why[APP_WHY_MAX];

	assert_int_equal(module_inspect("/proc/self/fd", &info, why), -EINVAL);
	assert_string_equal(why, "'/proc/self/fd' is a folder without an index.html: name a module "
				 "with --wasm FILE");
	unlink(*state);
	assert_int_equal(module_inspect(*state, &info, why), -ENOENT);
	assert_memory_equal(why, "can't read '/", 13);
	assert_non_null(strstr(why, "': No such file or directory"));
	/* Opening it would wait for a writer. */
	assert_int_equal(mkfifo(*state, 0600), 0);
	assert_int_equal(module_inspect(*state, &info, why), -EINVAL);
	assert_non_null(strstr(why, "is no regular file"));
	assert_int_equal(module_inspect("/dev/zero", &info, why), -EINVAL);
	assert_string_equal(why, "'/dev/zero' is no regular file");
}

/* A file of the largest size is looked at, a larger one is not, whatever is in it. */
static void test_large_file(void **state)
{
	struct module_info info;
	char why[APP_WHY_MAX];

	write_file(*state, BYTES(CORE));
	assert_int_equal(truncate(*state, MODULE_SIZE_MAX), 0);
	assert_int_equal(module_inspect(*state, &info, why), -EINVAL);
	assert_non_null(strstr(why, "too many sections"));
	assert_int_equal(truncate(*state, MODULE_SIZE_MAX + 1), 0);
	assert_int_equal(module_inspect(*state, &info, why), -EFBIG);
	assert_non_null(strstr(why, "is larger than 512 MiB"));
}

static void test_folder(void **state)
{
	char why[APP_WHY_MAX], page[64];
	struct module_info info;

	unlink(*state);
	assert_int_equal(mkdir(*state, 0700), 0);
	assert_int_equal(module_inspect(*state, &info, why), -EINVAL);
	snprintf(page, sizeof page, "%s/index.html", (char *)*state);
	write_file(page, "", 0);
	assert_int_equal(module_inspect(*state, &info, why), 0);
	assert_int_equal(info.interface, APP_FILES);
	unlink(page);
	rmdir(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
