/* SPDX-License-Identifier: MIT */
/*
 * The table. A toolchain of which more has to be known than a file can tell is asked by the build's
 * own shell, in the child: to ask may take long, or want the network.
 */
#include "app/rule.h"

#include "base/lang.h"

#define INSTALL_C "apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32"
#define INSTALL_CXX INSTALL_C " libc++-14-dev-wasm32 libc++abi-14-dev-wasm32"
#define RUST_TARGET "wasm32-wasip2"
#define LACKS TEXT_OF(APP_BUILD_LACKS)

static const struct app_tool c_tools[] = {
	{ .program = "clang", .install = INSTALL_C },
	{ .program = "wasm-ld", .install = INSTALL_C },
	{ .program = NULL },
};

static const struct app_tool cxx_tools[] = {
	{ .program = "clang++", .install = INSTALL_CXX },
	{ .program = "wasm-ld", .install = INSTALL_CXX },
	{ .program = NULL },
};

static const struct app_tool make_tools[] = {
	{ .program = "make", .install = "apt-get install make" },
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

static const struct app_root go_roots[] = { { .marker = "go.work" }, { .marker = "go.mod" },
	{ .marker = NULL } };

static const struct app_root js_roots[] = { { .marker = "pnpm-workspace.yaml" },
	{ .marker = "package.json", .says = "\"workspaces\"[[:space:]]*:" }, { .marker = NULL } };

static const struct app_root rust_roots[] = {
	{ .marker = "Cargo.toml", .says = "(^|\n)[ \t]*\\[workspace" }, { .marker = NULL }
};

/*
 * $1 is cargo's target folder. What stands there from former builds might not be made any more;
 * what is, cargo puts there again. Instances that start together wait for each other in cargo,
 * behind this. Cargo's own settings, here or in a folder above, may name the target: wasm32-wasip1
 * for a listener or CGI. Else it is ours, and the folder of its libraries is there if they are.
 */
static const char rust_build[] =
	"named=$CARGO_BUILD_TARGET dir=$PWD\n"
	"while [ -z \"$named\" ] && [ -n \"$dir\" ]; do\n"
	"  named=$(grep -hE '^[[:space:]]*(build\\.)?target[[:space:]]*=' "
	"\"$dir/.cargo/config.toml\" "
	"2>/dev/null)\n"
	"  dir=${dir%/*}\n"
	"done\n"
	"libs=$(rustc --print target-libdir --target " RUST_TARGET " 2>/dev/null)\n"
	"if [ -z \"$named\" ] && [ ! -d \"$libs\" ]; then\n"
	"  has=$(rustc --version | cut -d ' ' -f 2)\n"
	"  echo \"needs Rust >= 1.82 with its target " RUST_TARGET
	", found ${has:-none} without it:"
	" do rustup target add " RUST_TARGET "\"\n"
	"  exit " LACKS "\n"
	"fi\n"
	"rm -f \"$1\"/*/release/*.wasm\n"
	"[ -n \"$named\" ] || set -- \"$1\" --target " RUST_TARGET "\n"
	"target=$1; shift\n"
	"exec cargo build --release --target-dir \"$target\" \"$@\"";

/* $1 is the module. A module without a program at its root may have one below, as in cmd/server;
 * to ask for that takes a moment, which the usual project is spared. */
static const char go_build[] =
	"export GOOS=wasip1 GOARCH=wasm\n"
	"out=$1 package=.\n"
	"grep -qs '^package main' main.go || package=$(go list -e -f '{{.Name}}' .)\n"
	"if [ \"$package\" = main ]; then package=.; fi\n"
	"if [ \"$package\" != . ]; then\n"
	"  found=$(go list -e -f '{{if eq .Name \"main\"}}{{.Dir}}{{end}}' ./...) || exit\n"
	"  IFS='\n'; set -f; set -- $found; IFS=' '\n"
	"  here=$(pwd -P) package=$1\n"
	"  if [ $# = 0 ]; then\n"
	"    echo \"there is no package main in this Go module, so no program\"\n"
	"    exit " LACKS "\n"
	"  elif [ $# -gt 1 ]; then\n"
	"    echo \"there are $# programs in this Go module (${1#\"$here\"/}, ${2#\"$here\"/}$([ "
	"$# = 2 ] "
	"|| echo ', ...')): name the folder of the one to run, as in 'wasmrun os "
	"${1#\"$here\"/}'\"\n"
	"    exit " LACKS "\n"
	"  fi\n"
	"fi\n"
	/* -v names the packages while they are compiled, which takes minutes the first time. */
	"exec go build -v -o \"$out\" \"$package\"";

/* The same for a folder without go.mod, which is a part of the module around it, or of none. $2 and
 * further ones are its files: one alone is the program, as in "go run". */
static const char go_files_build[] =
	"export GOOS=wasip1 GOARCH=wasm\n"
	"out=$1; shift\n"
	"case $(go env GOMOD) in ''|/dev/null) export GO111MODULE=off;; esac\n"
	"[ $# = 1 ] || set -- .\n"
	"exec go build -v -o \"$out\" \"$@\"";

/*
 * $1 is npm's script. npm notes in node_modules when it has installed what the lock file says.
 * Where another tool has made the lock file, that one is asked, but for what is there already.
 */
static const char js_build[] =
	"other() {\n"
	"  if [ ! -e \"$1\" ]; then return 1; fi\n"
	"  if [ -d node_modules ] && [ ! \"$1\" -nt node_modules ]; then return 0; fi\n"
	"  if command -v \"$2\" >/dev/null; then \"$2\" install && touch node_modules || exit; "
	"return "
	"0; fi\n"
	"  if [ -d node_modules ]; then return 0; fi\n"
	"  echo \"'$2', which made '$1', is needed to install what the project needs: npm install "
	"-g "
	"$2\"\n"
	"  exit " LACKS "\n"
	"}\n"
	"if [ -e package-lock.json ]; then\n"
	"  [ node_modules/.package-lock.json -nt package-lock.json ] ||\n"
	"    npm ci --no-audit --no-fund || exit\n"
	"elif other pnpm-lock.yaml pnpm || other yarn.lock yarn || other bun.lock bun ||\n"
	"    other bun.lockb bun; then :\n"
	"elif grep -q 'ependencies\"' package.json && [ ! node_modules -nt package.json ]; then\n"
	"  echo 'there is no lock file: npm install takes the newest versions'\n"
	"  npm install --no-package-lock --no-audit --no-fund && touch node_modules || exit\n"
	"fi\n"
	"exec npm run \"$1\"";

/* $1 is the module, $2 the program. A project's own environment has what it imports, too. */
static const char python_build[] =
	"if [ -d .venv ]; then export VIRTUAL_ENV=\"$PWD/.venv\" "
	"PATH=\"$PWD/.venv/bin:$PATH\"; fi\n"
	"for wit in wit */wit; do if [ -d \"$wit\" ]; then break; fi; done\n"
	"exec componentize-py -d \"$wit\" componentize \"$(basename \"$2\" .py)\" -o \"$1\"";

/*
 * $1 is the compiler, $2 the module, the others are sources. WASI has no exceptions: the linker
 * would name symbols that nobody knows. Two programs in one folder are told by their main functions
 * once the linker has refused them: a text alone doesn't tell, since it may stand in an #ifdef.
 */
static const char c_build[] =
	"cc=$1 out=$2; shift 2\n"
	"mains=$(grep -lE '^([[:alpha:]][[:alnum:]_ *]*[[:space:]*])?main[[:space:]]*\\(' \"$@\" | "
	"tr "
	"'\\n' ' ')\n"
	"for f; do shift; case $f in *.c) l=c;; *) l=c++;; esac; set -- \"$@\" -x $l \"$f\"; done\n"
	"[ \"$cc\" = clang ] || set -- -fno-exceptions \"$@\"\n"
	"\"$cc\" --target=wasm32-wasi -O2 -I. -Iinclude -I../include -o \"$out\" \"$@\" && exit\n"
	"code=$?\n"
	"case $mains in *' '*' '*)\n"
	"  echo \"there are several programs, each with a main function (${mains% }): name the one "
	"to run, as in 'wasmrun os ${mains%% *}', or say --build and --wasm\"\n"
	"  exit " LACKS ";;\n"
	"esac\n"
	"exit $code";

#define SHELL(script, ...)                                  \
	(const char *const[])                               \
	{                                                   \
		"sh", "-c", script, "sh", __VA_ARGS__, NULL \
	}
#define LIST(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

/* The dependency of a library for a page; a program may have it for other targets than WASI. */
#define BINDGEN_LINE "(^|\n|\\.)[ \t]*wasm-bindgen[ \t]*[].=]"
#define BINDGEN BINDGEN_LINE ".*cdylib|cdylib.*" BINDGEN_LINE

/* Where the frameworks leave a site: Vite, Astro, Vue, Parcel and Trunk in dist, Angular below it;
 * Create React App, SvelteKit and Docusaurus in build, React Router below it; Next in out, Nuxt in
 * .output, Eleventy in _site. In public stands what they take, but for Gatsby and Hugo. */
#define SITE_PAGES \
	"{dist,dist/*/browser,dist/*,build,build/client,out,.output/public,_site}/index.html"

#define C_FILES "*.c"
#define CXX_FILES "*.{cpp,cc,cxx}"
#define SITE_LEAD                                                                               \
	"see to it that the build makes one, or the index.html of a site in dist, build, out, " \
	".output/public or _site; or say --wasm FILE, or --kind static --wasm FOLDER"
#define BUILD_LEAD "say --build COMMAND, and --wasm FILE for what that makes"

const struct app_rule app_rules[] = {
	/* The page of a wasm-bindgen library, with what wasm-pack has made of it, or Trunk. */
	{ .marker = "index.html",
		.beside = { "Cargo.toml", "pkg/*.js" },
		.kind = "files",
		.folder = true },
	{ .marker = "dist/index.html",
		.beside = { "Cargo.toml", "{Trunk.toml,index.html}" },
		.kind = "files",
		.folder = true },
	{ .marker = "Cargo.toml",
		.says = BINDGEN,
		.kind = "a library for a page (wasm-bindgen)",
		.refusal = "build it with 'wasm-pack build --target web' or 'trunk build' and "
			   "serve the "
			   "folder with the index.html: --kind static, and --wasm FOLDER where it "
			   "is another" },
	{ .marker = "Cargo.toml",
		.kind = "Rust",
		.shown = "Cargo.toml",
		.build = SHELL(rust_build, APP_WORD_CACHE),
		.artefacts = LIST(APP_WORD_CACHE "/*/release/*.wasm"),
		.lead = "a library has nothing to run: it takes a src/main.rs, or the crate-type "
			"cdylib",
		.pick = "name the folder of the workspace's member, as in 'wasmrun os "
			"crates/NAME', or "
			"say --build 'cargo build --release --target " RUST_TARGET
			" --bin NAME' --wasm target/" RUST_TARGET "/release/NAME.wasm",
		.roots = rust_roots,
		.tools = rust_tools },
	{ .marker = "go.mod",
		.kind = "Go",
		.shown = "go.mod",
		.build = SHELL(go_build, APP_WORD_OUT),
		.roots = go_roots,
		.tools = go_tools },
	/* AssemblyScript's own template: a page that loads build/release.js. */
	{ .marker = "package.json",
		.says = "\"asbuild\"[[:space:]]*:",
		.beside = { "index.html" },
		.kind = "AssemblyScript",
		.build = SHELL(js_build, "asbuild"),
		.artefacts = LIST("index.html"),
		.tools = js_tools },
	{ .marker = "package.json",
		.says = "\"build\"[[:space:]]*:",
		.kind = "JavaScript",
		.shown = "package.json",
		.build = SHELL(js_build, "build"),
		.artefacts =
			LIST("dist/index.html", "dist/*.wasm", SITE_PAGES, "{build,out}/*.wasm"),
		.lead = SITE_LEAD,
		.roots = js_roots,
		.tools = js_tools },
	{ .marker = "app.py",
		.beside = { "{wit,*/wit}" },
		.kind = "Python",
		.shown = "app.py with wit",
		.build = SHELL(python_build, APP_WORD_OUT, APP_WORD_SOURCES),
		.tools = python_tools },
	{ .marker = "main.py",
		.beside = { "{wit,*/wit}" },
		.kind = "Python",
		.build = SHELL(python_build, APP_WORD_OUT, APP_WORD_SOURCES),
		.tools = python_tools },
	{ .marker = "*.go",
		.kind = "Go",
		.build = SHELL(go_files_build, APP_WORD_OUT, APP_WORD_SOURCES),
		.roots = go_roots,
		.tools = go_tools },
	{ .marker = CXX_FILES,
		.kind = "C++",
		.shown = "*.cpp",
		.build = SHELL(c_build, "clang++", APP_WORD_OUT, APP_WORD_SOURCES),
		.more = C_FILES,
		.tools = cxx_tools },
	{ .marker = C_FILES,
		.kind = "C",
		.shown = "*.c",
		.build = SHELL(c_build, "clang", APP_WORD_OUT, APP_WORD_SOURCES),
		.tools = c_tools },
	/* A site that is built, with its sources around it. */
	{ .marker = SITE_PAGES, .beside = { "package.json" }, .kind = "files", .folder = true },
	/* Before the modules, which are a part of it: wasm-bindgen, Emscripten, Go's js/wasm. */
	{ .marker = "index.html", .kind = "files", .shown = "index.html", .folder = true },
	{ .marker = "{GNUmakefile,makefile,Makefile}",
		.says = "wasm32|wasip1|\\.wasm",
		.kind = "make",
		.build = LIST("make"),
		.artefacts = LIST("*.wasm", "{build,bin,out,dist}/*.wasm"),
		.lead = "say --build 'make TARGET' --wasm FILE",
		.pick = "say --build make --wasm FILE",
		.tools = make_tools },
	{ .marker = "{src,src/*}/" CXX_FILES,
		.kind = "C++",
		.build = SHELL(c_build, "clang++", APP_WORD_OUT, APP_WORD_SOURCES),
		.more = "{src/" C_FILES ",src/*/" C_FILES ",lib/" C_FILES ",lib/" CXX_FILES "}",
		.tools = cxx_tools },
	{ .marker = "{src,src/*}/" C_FILES,
		.kind = "C",
		.build = SHELL(c_build, "clang", APP_WORD_OUT, APP_WORD_SOURCES),
		.more = "lib/" C_FILES,
		.tools = c_tools },
	{ .marker = "*.wasm", .kind = "module", .shown = "*.wasm" },
	/* What isn't run as it stands. */
	{ .marker = "package.json",
		.kind = "JavaScript without a script 'build'",
		.refusal =
			"a server for Node can't run here: give it a script 'build' that leaves a "
			"component at dist/*.wasm, or a site in dist; files alone are served by "
			"--kind static, and --wasm FOLDER" },
	{ .marker = "{dist,build,out,_site,public,www,site}/index.html",
		.kind = "files",
		.folder = true },
	{ .marker = "*.py",
		.kind = "Python without a folder 'wit'",
		.refusal = "it runs as a component, made by componentize-py from app.py or main.py "
			   "and "
			   "the interfaces in wit; servers for CPython can't run here. "
			   "Or " BUILD_LEAD },
	{ .marker = "*.rs",
		.kind = "Rust without a Cargo.toml",
		.refusal = "'cargo init' makes one; or " BUILD_LEAD },
	{ .marker = "{asconfig.json,assembly/*.ts,*.ts}",
		.kind = "AssemblyScript or TypeScript without a package.json",
		.refusal = "give it one whose script 'build' leaves a component at dist/*.wasm or "
			   "a site "
			   "in dist; or " BUILD_LEAD },
	{ .marker = "{build.zig,*.zig}",
		.kind = "Zig",
		.refusal = "say --build 'zig build -Dtarget=wasm32-wasi' --wasm "
			   "zig-out/bin/NAME.wasm" },
	{ .marker = "{CMakeLists.txt,meson.build,configure,configure.ac,GNUmakefile,makefile,"
		    "Makefile}",
		.kind = "a build that doesn't name WebAssembly",
		.refusal = "let it build for wasm32-wasi, and " BUILD_LEAD },
	{ .marker = "{pom.xml,build.gradle,build.gradle.kts,Package.swift,composer.json,Gemfile,"
		    "Dockerfile,*.{java,kt,swift,cs,csproj,php,rb,hs,mbt,dart,ml,nim,pl,lua}}",
		.kind = "sources that no build is known for",
		.refusal = "let their toolchain make a module or a component for WASI, "
			   "and " BUILD_LEAD },
	{ .marker = "src/main.rs",
		.kind = "Rust without a Cargo.toml",
		.refusal = "'cargo init' makes one; or " BUILD_LEAD },
};

const size_t app_rule_count = ARRAY_LEN(app_rules);
