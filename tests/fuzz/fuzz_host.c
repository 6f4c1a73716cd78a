/* SPDX-License-Identifier: MIT */
/* A host's text, behind a byte that says in which form. */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "net/host.h"

#define TEXT_MAX 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1], why[HOST_WHY_MAX] = "";
	enum host_form form;
	struct host host, again;

	if (size == 0 || size > TEXT_MAX)
		return 0;
	form = (enum host_form)(*data % (HOST_ADDRESS_PORT + 1));
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (host_parse(form, text, &host, why) < 0) {
		assert(*why);
		for (const char *c = why; *c; c++)
			assert(*c >= ' ' && *c < 0x7f);
		return 0;
	}
	for (const char *c = host.name; *c; c++)
		assert(*c > ' ' && *c < 0x7f);
	/* What it is taken for is a host, too. */
	assert(host_parse(HOST_ALONE, host.name, &again, why) == 0);
	assert(strcmp(host.name, again.name) == 0);
	return 0;
}
