/* SPDX-License-Identifier: MIT */
/*
 * Tells the service manager how far we are (sd_notify(3)): a datagram to the socket in
 * $NOTIFY_SOCKET. The protocol is documented as stable, and a few lines of ours are less than
 * libsystemd.
 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#define NOTIFY_READY "READY=1"
#define NOTIFY_STOPPING "STOPPING=1"

/* Does nothing where nobody listens. 0, or a negative errno: the caller may go on. */
int notify_send(const char *state);

#endif
