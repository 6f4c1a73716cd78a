/* SPDX-License-Identifier: MIT */
/*
 * The two ends of a TCP connection of this process with itself, for whoever must be given a socket
 * that is one of TCP in every respect.
 */
#ifndef NET_STREAM_PAIR_H
#define NET_STREAM_PAIR_H

/*
 * Over 127.0.0.1, non-blocking and CLOEXEC. The ends are each other's, by the addresses of both,
 * even if somebody on this machine connects in between. The second one is ready for a pump
 * (sockopt_set_stream()), the first one as its owner likes. Negative errno; -EAGAIN where somebody
 * does so all the time.
 */
int stream_pair_open(int ret_fds[2]);

#endif
