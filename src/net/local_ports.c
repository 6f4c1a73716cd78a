/* SPDX-License-Identifier: MIT */
/* The invariant: low <= next <= high once the range was read. Owns nothing. */
#include "net/local_ports.h"

#include <assert.h>
#include <stdio.h>

void local_ports_range(uint16_t *ret_low, uint16_t *ret_high)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned low = 0, high = 0;

	if (!file || fscanf(file, "%u %u", &low, &high) != 2 || !low || high > UINT16_MAX ||
		low > high) {
		low = 32768; /* the kernel's default */
		high = 60999;
	}
	if (file)
		(void)fclose(file);
	*ret_low = (uint16_t)low;
	*ret_high = (uint16_t)high;
}

/* The kernel writes the list in order, and no port twice. */
unsigned local_ports_unreserved(uint16_t low, uint16_t high, const char *reserved)
{
	unsigned left = high >= low ? high - low + 1u : 0, from, to;
	int used;

	while (left && sscanf(reserved, "%u%n", &from, &used) == 1) {
		reserved += used;
		to = from;
		if (sscanf(reserved, "-%u%n", &to, &used) == 1)
			reserved += used;
		from = from > low ? from : low;
		to = to < high ? to : high;
		left -= to >= from ? to - from + 1 : 0;
		reserved += *reserved == ',';
	}
	return left;
}

static void local_ports_read_range(struct local_ports *p)
{
	local_ports_range(&p->low, &p->high);
	if (p->next < p->low || p->next > p->high)
		p->next = p->low;
}

bool local_ports_may_be(struct local_ports *p, uint16_t port)
{
	if (!p->low)
		local_ports_read_range(p);
	return port >= p->low && port <= p->high;
}

bool local_ports_crowded(const struct local_ports *p, uint64_t now_ms)
{
	return now_ms < p->crowded_ms;
}

bool local_ports_suspect(const struct local_ports *p)
{
	return p->slow_ms != 0;
}

void local_ports_note(struct local_ports *p, uint64_t now_ms, uint64_t took_us, bool exhausted)
{
	bool slow = took_us >= LOCAL_PORTS_SLOW_US;
	bool again = slow && p->slow_ms && now_ms - p->slow_ms < LOCAL_PORTS_AGAIN_MS;

	p->slow_ms = slow ? now_ms : 0;
	if (!exhausted && !again)
		return;
	if (!local_ports_crowded(p, now_ms))
		local_ports_read_range(p);
	p->crowded_ms = now_ms + LOCAL_PORTS_CROWDED_MS;
}

uint16_t local_ports_next(struct local_ports *p)
{
	uint16_t port = p->next;

	assert(port); /* the range was read */
	p->next = port < p->high ? port + 1 : p->low;
	return port;
}
