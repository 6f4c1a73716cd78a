/* SPDX-License-Identifier: MIT */
/* What a hostile guest sends to the broker: whatever passes is of the form that the wire has. */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "os/broker_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct broker_request r;
	size_t len;

	if (broker_request_check(data, size, &r))
		return 0;
	assert(size == sizeof(r) && memcmp(data, &r, size) == 0);
	assert(r.op >= BROKER_RESOLVE && r.op <= BROKER_DATAGRAMS && !r.zero);
	len = strnlen(r.name, sizeof(r.name));
	assert(len < sizeof(r.name));
	for (size_t i = len; i < sizeof(r.name); i++)
		assert(!r.name[i]);
	assert((len > 0) == (r.op == BROKER_RESOLVE));
	assert(r.addr.family == BROKER_IPV4 || r.addr.family == BROKER_IPV6 ||
		(r.op == BROKER_RESOLVE && r.addr.family == BROKER_ANY));
	return 0;
}
