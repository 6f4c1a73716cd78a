/* SPDX-License-Identifier: MIT */
/* A section of someone else's module, behind a byte that says which. */
#include <assert.h>

#include "app/names.h"
#include "fuzz.h"

struct section {
	const uint8_t *bytes, *end;
};

static void check(const struct section *s, const struct name *name)
{
	const uint8_t *text = (const uint8_t *)name->text;

	assert(text >= s->bytes && text <= s->end && name->len <= (size_t)(s->end - text));
}

static void on_name(void *arg, const struct name *module, const struct name *name)
{
	if (module->len)
		check(arg, module);
	if (name->len)
		check(arg, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct section s = { data + 1, data + size };

	if (size == 0)
		return 0;
	if (*data % 4 == 0)
		names_read_imports(s.bytes, size - 1, on_name, &s);
	else if (*data % 4 == 1)
		names_read_exports(s.bytes, size - 1, on_name, &s);
	else if (*data % 4 == 3)
		names_read_custom(s.bytes, size - 1, on_name, &s);
	else
		names_read_component_exports(s.bytes, size - 1, on_name, &s);
	return 0;
}
