/* SPDX-License-Identifier: MIT */
/* The host's error numbers as preview 1 has them: those that calls on sockets and streams return.
 */
#include "guest/wasi.h"

#include <errno.h>
#include <stddef.h>

#include "base/lang.h"

static const struct {
	int host;
	uint16_t wasi;
} errnos[] = {
	{ EACCES, 2 },
	{ EADDRINUSE, 3 },
	{ EADDRNOTAVAIL, 4 },
	{ EAFNOSUPPORT, 5 },
	{ EAGAIN, 6 },
	{ EALREADY, 7 },
	{ EBADF, WASI_EBADF },
	{ EBUSY, 10 },
	{ ECONNABORTED, 13 },
	{ ECONNREFUSED, 14 },
	{ ECONNRESET, 15 },
	{ EDESTADDRREQ, 17 },
	{ EDOM, 18 },
	{ EFAULT, 21 },
	{ EHOSTUNREACH, 23 },
	{ EINPROGRESS, 26 },
	{ EINTR, 27 },
	{ EINVAL, WASI_EINVAL },
	{ EIO, WASI_EIO },
	{ EISCONN, 30 },
	{ EMFILE, 33 },
	{ EMSGSIZE, 35 },
	{ ENETDOWN, 38 },
	{ ENETUNREACH, 40 },
	{ ENFILE, 41 },
	{ ENOBUFS, 42 },
	{ ENOMEM, 48 },
	{ ENOPROTOOPT, 50 },
	{ ENOSPC, 51 },
	{ ENOSYS, 52 },
	{ ENOTCONN, 53 },
	{ ENOTSOCK, 57 },
	{ EOPNOTSUPP, WASI_ENOTSUP },
	{ EPERM, 63 },
	{ EPIPE, 64 },
	{ EPROTONOSUPPORT, 66 },
	{ EPROTOTYPE, 67 },
	{ ETIMEDOUT, 73 },
};

uint16_t wasi_errno(int host_errno)
{
	for (size_t i = 0; i < ARRAY_LEN(errnos); i++)
		if (errnos[i].host == host_errno)
			return errnos[i].wasi;
	return WASI_EIO;
}
