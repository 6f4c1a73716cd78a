/* SPDX-License-Identifier: MIT */
/* What the relay has counted since its start. */
#ifndef RELAY_COUNTS_H
#define RELAY_COUNTS_H

#include <stdint.h>

/* name, help: each is a counter in struct relay_counts and a metric. */
#define RELAY_COUNTERS(X)                                                                      \
	X(handshakes, "connections on the control port")                                       \
	X(handshakes_dropped, "connections closed before a word because of max-handshakes")    \
	X(handshakes_failed, "handshakes that failed or came to no end")                       \
	X(penalised, "connections closed before a word because of earlier bad secrets")        \
	X(bad_secrets, "handshakes with a wrong secret")                                       \
	X(upgrades, "connections that came through an HTTP front")                             \
	X(upgrades_refused, "requests of HTTP that were no upgrade to bore")                   \
	X(tunnels_opened, "tunnels opened")                                                    \
	X(tunnels_resumed, "tunnels taken over by a client that reconnected")                  \
	X(tunnels_adopted, "tunnels taken over from the relay before")                         \
	X(tunnels_abandoned, "of these, tunnels whose client didn't come back in time")        \
	X(tunnels_refused, "tunnels refused for their port")                                   \
	X(tunnels_over_limit, "tunnels refused because of max-tunnels-per-addr")               \
	X(tunnels_aged, "tunnels ended because of max-tunnel-age")                             \
	X(tunnels_paused, "times that a tunnel left its visitors in the kernel's queue")       \
	X(visitors, "visitors announced to a client")                                          \
	X(visitors_over_conns, "visitors closed because of max-conns")                         \
	X(visitors_no_memory, "visitors closed for want of memory or descriptors")             \
	X(visitors_unclaimed, "visitors closed because no client came for them in time")       \
	X(visitors_refused, "visitors refused by their client")                                \
	X(visitors_half_closed, "visitors ended by half-close-timeout")                        \
	X(visitors_idle, "visitors ended by idle-timeout")                                     \
	X(ready_given, "visitors given to a warm connection")                                  \
	X(ready_missed, "visitors of a client with warm connections who were announced to it") \
	X(ready_untaken, "visitors given to a warm connection whose client didn't take them")  \
	X(ready_refused, "warm connections that were not parked")                              \
	X(accepts_unknown, "data connections for a visitor that is not waiting")

struct relay_counts {
#define RELAY_COUNTER_FIELD(name, help) uint64_t name;
	RELAY_COUNTERS(RELAY_COUNTER_FIELD)
#undef RELAY_COUNTER_FIELD
};

#endif
