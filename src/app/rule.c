/* SPDX-License-Identifier: MIT */
/*
 * The table. A toolchain of which more has to be known than a file can tell is asked by the build's
 * own shell, in the child: to ask may take long, or want the network.
 */
#include "app/rule.h"

#include "base/err.h"

#define INSTALL_C "apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32"
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
#define RUST_TARGET "wasm32-wasip2"
#define LACKS TEXT_OF(APP_BUILD_LACKS)

static const struct app_tool c_tools[] = {
	{ .program = "clang", .install = INSTALL_C },
	{ .program = "wasm-ld", .install = INSTALL_C },
	{ .program = NULL },
};

/* GOOS=wasip1 came with 1.21, which is also the first to open a listening socket there. */
static const struct app_tool go_tools[] = {
	{ .program = "go",
		.install = "apt-get install -t bookworm-backports golang-go",
		.name = "Go",
		.version_file = "../VERSION",
		.prefix = "go",
		.major = 1,
		.minor = 21 },
	{ .program = NULL },
};

static const struct app_tool js_tools[] = {
	{ .program = "npm", .install = "apt-get install npm" },
	{ .program = NULL },
};

static const struct app_tool python_tools[] = {
	{ .program = "componentize-py",
		.install = "python3 -m venv .venv && .venv/bin/pip install componentize-py",
		.folder = ".venv/bin" },
	{ .program = NULL },
};

static const struct app_tool rust_tools[] = {
	{ .program = "cargo", .install = "curl https://sh.rustup.rs -sSf | sh" },
	{ .program = NULL },
};

/*
 * $1 is cargo's target folder. What stands there from former builds might not be made any more;
 * what is, cargo puts there again. Instances that start together wait for each other in cargo,
 * behind this.
 */
#define RUST_CLEAN "rm -f \"$1\"/*/release/*.wasm\n"

static const char rust_build_as_set[] = RUST_CLEAN "exec cargo build --release --target-dir \"$1\"";

/* The folder of the target's libraries is there if they are. */
static const char rust_build[] =
	"libs=$(rustc --print target-libdir --target " RUST_TARGET " 2>/dev/null)\n"
	"if [ ! -d \"$libs\" ]; then\n"
	"  has=$(rustc --version | cut -d ' ' -f 2)\n"
	"  echo \"needs Rust >= 1.82 with its target " RUST_TARGET
	", found ${has:-none} without it:"
	" do rustup target add " RUST_TARGET "\"\n"
	"  exit " LACKS "\n"
	"fi\n" RUST_CLEAN "exec cargo build --release --target " RUST_TARGET " --target-dir \"$1\"";

/* npm notes in node_modules when it has installed what the lock file says. Without such a file
 * there is nothing that it would install, or another tool does. */
static const char js_build[] = "[ ! -e package-lock.json ] || [ node_modules/.package-lock.json "
			       "-nt package-lock.json ] ||\n"
			       "  npm ci --no-audit --no-fund || exit\n"
			       "exec npm run build";

/* $1 is the module. A project's own environment has what it imports, too. */
static const char python_build[] = "if [ -d .venv ]; then export VIRTUAL_ENV=\"$PWD/.venv\" "
				   "PATH=\"$PWD/.venv/bin:$PATH\"; fi\n"
				   "exec componentize-py -d wit componentize app -o \"$1\"";

const struct app_rule app_rules[] = {
	/* Cargo's own settings may name the target: wasm32-wasip1 for a listener or CGI. */
	{ .marker = "Cargo.toml",
		.beside = ".cargo/config.toml",
		.kind = "Rust",
		.build = (const char *const[]){ "sh", "-c", rust_build_as_set, "sh", APP_WORD_CACHE,
			NULL },
		.artefact = APP_WORD_CACHE "/*/release/*.wasm",
		.tools = rust_tools },
	{ .marker = "Cargo.toml",
		.kind = "Rust",
		.build =
			(const char *const[]){ "sh", "-c", rust_build, "sh", APP_WORD_CACHE, NULL },
		.artefact = APP_WORD_CACHE "/" RUST_TARGET "/release/*.wasm",
		.tools = rust_tools },
	/* -v names the packages while they are compiled, which takes minutes the first time. */
	{ .marker = "go.mod",
		.kind = "Go",
		.build = (const char *const[]){ "env", "GOOS=wasip1", "GOARCH=wasm", "go", "build",
			"-v", "-o", APP_WORD_OUT, ".", NULL },
		.tools = go_tools },
	{ .marker = "package.json",
		.kind = "JavaScript",
		.build = (const char *const[]){ "sh", "-c", js_build, NULL },
		.artefact = "dist/*.wasm",
		.tools = js_tools },
	{ .marker = "app.py",
		.beside = "wit",
		.kind = "Python",
		.build =
			(const char *const[]){ "sh", "-c", python_build, "sh", APP_WORD_OUT, NULL },
		.tools = python_tools },
	{ .marker = "*.c",
		.kind = "C",
		.build = (const char *const[]){ "clang", "--target=wasm32-wasi", "-O2", "-o",
			APP_WORD_OUT, APP_WORD_SOURCES, NULL },
		.tools = c_tools },
	/* Before the modules, which are a part of it: wasm-bindgen, Emscripten, Go's js/wasm. */
	{ .marker = "index.html", .kind = "files", .folder = true },
	{ .marker = "*.wasm", .kind = "module" },
};

const size_t app_rule_count = ARRAY_LEN(app_rules);
