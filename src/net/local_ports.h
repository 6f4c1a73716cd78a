/* SPDX-License-Identifier: MIT */
/*
 * The local ports of outgoing connections. The kernel looks for a free one by itself, one by one;
 * where nearly all are taken that costs milliseconds of every connect(2), and in the end it finds
 * none. For such a while this says which port to bind to next. Pure but for reading the range.
 */
#ifndef NET_LOCAL_PORTS_H
#define NET_LOCAL_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#define LOCAL_PORTS_SLOW_US 1000  /* in one connect(2): a search that was long */
#define LOCAL_PORTS_AGAIN_MS 1000 /* two of them in a row within this are no accident */
#define LOCAL_PORTS_CROWDED_MS 10000

struct local_ports {
	uint16_t low, high;  /* the range, read when first needed, and by an episode; 0: not yet */
	uint16_t next;       /* of an episode */
	uint64_t slow_ms;    /* monotonic; of the last search, if that was long, or 0 */
	uint64_t crowded_ms; /* monotonic; ports are bound explicitly until then */
};

/* The ports that the kernel picks from: net.ipv4.ip_local_port_range (ip(7)), or its default. */
void local_ports_range(uint16_t *ret_low, uint16_t *ret_high);

/* How many of low..high there are that `reserved`, the text of ip_local_reserved_ports ("8080,
 * 9000-9100" without the blank), leaves to the kernel. What can't be read reserves nothing. */
unsigned local_ports_unreserved(uint16_t low, uint16_t high, const char *reserved);

/* Whether the kernel may pick `port`, by the range as it was when it was read. */
bool local_ports_may_be(struct local_ports *p, uint16_t port);

/* Whether ports are bound explicitly now. */
bool local_ports_crowded(const struct local_ports *p, uint64_t now_ms);

/* The last search was long, by whatever clock. */
bool local_ports_suspect(const struct local_ports *p);

/*
 * The kernel has searched: for so long, and found none if `exhausted`. Of a suspect that is in CPU
 * time of the thread, since the other clock tells of whatever else keeps the machine busy; two long
 * ones in a row make an episode.
 */
void local_ports_note(struct local_ports *p, uint64_t now_ms, uint64_t took_us, bool exhausted);

/* The next one of the range, over and over. Only after an episode has begun. */
uint16_t local_ports_next(struct local_ports *p);

#endif
