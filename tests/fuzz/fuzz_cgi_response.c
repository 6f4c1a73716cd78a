/* SPDX-License-Identifier: MIT */
/* What a CGI program writes: whatever it is, nothing that is given on can break out of its header.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "serve/cgi_response.h"

static void check_text(const char *text, const char *head, size_t len)
{
	assert(text > head - 1 && text < head + len);
	for (; *text; text++)
		assert((unsigned char)*text >= ' ' && *text != 0x7f);
	assert(text < head + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cgi_response response;
	char why[CGI_WHY_MAX] = "", *head = malloc(size ? size : 1);

	if (!head)
		return 0;
	memcpy(head, data, size);
	if (cgi_response_parse(head, size, &response, why) == 0) {
		assert(response.status >= 200 && response.status <= 599);
		if (*response.reason)
			check_text(response.reason, head, size);
		assert(response.body > 0 && response.body <= size);
		for (size_t i = 0; i < response.count; i++) {
			assert(*response.fields[i].name);
			check_text(response.fields[i].name, head, size);
			check_text(response.fields[i].value, head, size);
			assert(!strpbrk(response.fields[i].name, ": "));
		}
	} else {
		assert(*why && strlen(why) < CGI_WHY_MAX);
	}
	free(head);
	return 0;
}
