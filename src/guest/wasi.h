/* SPDX-License-Identifier: MIT */
/*
 * The numbers of WASI preview 1 (wasi_snapshot_preview1): error codes, and the layout of the
 * structures that the calls in this folder read and write in the guest's memory. Source: the
 * specification's witx files, WebAssembly/WASI, legacy/preview1.
 */
#ifndef GUEST_WASI_H
#define GUEST_WASI_H

#include <stdint.h>

#define WASI_MODULE "wasi_snapshot_preview1"

/* Those of the error codes that are told by name here; wasi_errno() knows the others. */
enum wasi_errno {
	WASI_ESUCCESS = 0,
	WASI_EBADF = 8,
	WASI_EINVAL = 28,
	WASI_EIO = 29,
	WASI_ENOTSUP = 58,
};

enum wasi_filetype { WASI_FILETYPE_SOCKET_DGRAM = 5, WASI_FILETYPE_SOCKET_STREAM = 6 };

enum wasi_fdflags { WASI_FDFLAG_NONBLOCK = 1 << 2 };

enum wasi_rights {
	WASI_RIGHT_FD_READ = 1 << 1,
	WASI_RIGHT_FD_FDSTAT_SET_FLAGS = 1 << 3,
	WASI_RIGHT_FD_WRITE = 1 << 6,
	WASI_RIGHT_FD_FILESTAT_GET = 1 << 21,
	WASI_RIGHT_POLL_FD_READWRITE = 1 << 27,
	WASI_RIGHT_SOCK_SHUTDOWN = 1 << 28,
	WASI_RIGHT_SOCK_ACCEPT = 1 << 29,
};

enum wasi_riflags { WASI_RECV_PEEK = 1 << 0, WASI_RECV_WAITALL = 1 << 1 };

enum wasi_roflags { WASI_RECV_TRUNCATED = 1 << 0 };

enum wasi_sdflags { WASI_SHUT_RD = 1 << 0, WASI_SHUT_WR = 1 << 1 };

enum wasi_clock {
	WASI_CLOCK_REALTIME,
	WASI_CLOCK_MONOTONIC,
	WASI_CLOCK_PROCESS_CPU,
	WASI_CLOCK_THREAD_CPU
};

enum wasi_eventtype { WASI_EVENT_CLOCK, WASI_EVENT_FD_READ, WASI_EVENT_FD_WRITE };

enum wasi_subclockflags { WASI_SUB_CLOCK_ABSTIME = 1 << 0 };

enum wasi_eventrwflags { WASI_EVENT_HANGUP = 1 << 0 };

/* fdstat: what fd_fdstat_get() tells. */
#define WASI_FDSTAT_SIZE 24
#define WASI_FDSTAT_FILETYPE 0           /* u8 */
#define WASI_FDSTAT_FLAGS 2              /* u16 */
#define WASI_FDSTAT_RIGHTS 8             /* u64 */
#define WASI_FDSTAT_RIGHTS_INHERITING 16 /* u64 */

/* filestat: what fd_filestat_get() tells. */
#define WASI_FILESTAT_SIZE 64
#define WASI_FILESTAT_FILETYPE 16 /* u8 */

/* subscription: what poll_oneoff() waits for. */
#define WASI_SUBSCRIPTION_SIZE 48
#define WASI_SUBSCRIPTION_USERDATA 0       /* u64 */
#define WASI_SUBSCRIPTION_TYPE 8           /* u8, enum wasi_eventtype */
#define WASI_SUBSCRIPTION_FD 16            /* u32 */
#define WASI_SUBSCRIPTION_CLOCK 16         /* u32, enum wasi_clock */
#define WASI_SUBSCRIPTION_CLOCK_TIMEOUT 24 /* u64, nanoseconds */
#define WASI_SUBSCRIPTION_CLOCK_FLAGS 40   /* u16 */

/* event: what poll_oneoff() answers. */
#define WASI_EVENT_SIZE 32
#define WASI_EVENT_USERDATA 0 /* u64 */
#define WASI_EVENT_ERROR 8    /* u16 */
#define WASI_EVENT_TYPE 10    /* u8 */
#define WASI_EVENT_NBYTES 16  /* u64 */
#define WASI_EVENT_FLAGS 24   /* u16 */

/* The code for one of the host's errors (a positive errno). */
uint16_t wasi_errno(int host_errno);

#endif
