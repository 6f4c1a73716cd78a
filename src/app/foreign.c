/* SPDX-License-Identifier: MIT */
/* One table of prefixes; none of them begins a name that is known here. */
#include "app/foreign.h"

#include <string.h>

#include "base/lang.h"

#define SPIN "is a module of Spin 1, which is not supported; build it as a component"
#define CANDIDATE(version)                                        \
	"is a component for a release candidate of WASI " version \
	", which no engine here runs; build it with the interfaces of " version ".0 itself"
#define BINDGEN \
	"was made by wasm-bindgen for the browser: serve the folder of its page (--kind static)"

static const struct {
	enum foreign_place place;
	const char *prefix;
	const char *what;
} rows[] = {
	{ FOREIGN_IMPORT, "wasix_",
		"was made for WASIX, which is not supported; build it for wasm32-wasip1" },
	{ FOREIGN_IMPORT, "wasi_unstable",
		"uses WASI of 2019 (wasi_unstable), which is not supported; build it for "
		"wasm32-wasip1" },
	{ FOREIGN_IMPORT, "spin-", SPIN },
	{ FOREIGN_IMPORT, "wasi-outbound-", SPIN },
	/* Such a module may import nothing foreign. */
	{ FOREIGN_EXPORT, "handle-http-request", SPIN },
	{ FOREIGN_COMPONENT_EXPORT, "fermyon:spin/",
		"is a component for Spin alone, which is not supported; build it for wasi:http" },
	/* Their interfaces changed from one to the next, and a version's own have no such end. */
	{ FOREIGN_COMPONENT_EXPORT, "wasi:http/handler@0.3.0-", CANDIDATE("0.3") },
	{ FOREIGN_COMPONENT_EXPORT, "wasi:cli/run@0.3.0-", CANDIDATE("0.3") },
	{ FOREIGN_COMPONENT_EXPORT, "wasi:http/incoming-handler@0.2.0-", CANDIDATE("0.2") },
	{ FOREIGN_COMPONENT_EXPORT, "wasi:cli/run@0.2.0-", CANDIDATE("0.2") },
	{ FOREIGN_IMPORT, "wasi_experimental_http",
		"uses WASI's first HTTP experiment, which is not supported; build it as a "
		"component" },
	{ FOREIGN_IMPORT, "gojs", "was made by Go for the browser; build it with GOOS=wasip1" },
	{ FOREIGN_IMPORT, "__wbindgen_", BINDGEN },
	{ FOREIGN_IMPORT, "wbg", BINDGEN },
};

const char *foreign_find(enum foreign_place place, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t prefix_len = strlen(rows[i].prefix);

		if (rows[i].place == place && len >= prefix_len &&
			memcmp(name, rows[i].prefix, prefix_len) == 0)
			return rows[i].what;
	}
	return NULL;
}
