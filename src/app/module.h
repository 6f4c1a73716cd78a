/* SPDX-License-Identifier: MIT */
/* What a file is, as far as its outline and its names tell, and so what runs it. */
#ifndef APP_MODULE_H
#define APP_MODULE_H

#include "app/language.h"

#define APP_WHY_MAX 512 /* a line for people, and its NUL */

/* The same, of why one has ended, as wasmrun-guest says it on its status pipe. */
#define APP_END_MAX 640

/* Without an answer, of APP_CGI and APP_HTTP, unless the user says otherwise. */
#define APP_REQUEST_TIMEOUT_S 30

/* A larger file is taken for a mistake: the largest modules, with a language's runtime and all that
 * they serve in them, have a tenth of that. */
#define MODULE_SIZE_MAX (512LL << 20)
#define MODULE_SIZE_TEXT "512 MiB"

#define MODULE_HINT_MAX 320

/* How an application takes its visitors. */
enum app_interface {
	APP_LISTENER, /* preview 1: accepts from a listening socket that it is given */
	APP_SOCKETS,  /* preview 1 with WasmEdge's socket calls: binds a port of its own */
	APP_CGI,      /* preview 1 without sockets: one instance per request */
	APP_HTTP,     /* component that exports wasi:http */
	APP_COMMAND,  /* component that exports wasi:cli/run: binds a port of its own */
	APP_FILES,    /* a folder of files with an index.html */
	APP_INTERFACES,
};

/* The API's words for them: "preview1", "cgi", ...; NULL at the end. */
extern const char *const app_interface_words[APP_INTERFACES + 1];

/* What was found out of one. */
struct module_info {
	enum app_interface interface;
	enum app_language language; /* by what its compiler has left in it, if nobody took it out */
};

/*
 * Reads the header, walks over the sections of a WebAssembly module or component and looks at the
 * names that it imports or exports; the rest is the engine's to judge. `path` may also be a folder
 * of files. 0, or a negative errno, and ret_why names the file and what is wrong; *ret_info is then
 * that of a module without any names.
 */
int module_inspect(const char *path, struct module_info *ret_info, char ret_why[APP_WHY_MAX]);

/*
 * What is to be said of a module that doesn't take connections: where a server of its kind finds
 * them. Compilers know that Rust's bind() fails, so that one that listens by itself may be left
 * without any call for sockets, and is APP_CGI. `run_as` is how it is run, which the user may have
 * said (--kind); `fd` is the listener's number in the module. Returns ret_hint, one line.
 */
const char *module_hint(const struct module_info *info, enum app_interface run_as, unsigned fd,
	char ret_hint[MODULE_HINT_MAX]);

#endif
