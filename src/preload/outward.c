/* SPDX-License-Identifier: MIT */
/*
 * What a descriptor of the broker's is to be called (the address that the component has asked for,
 * where the kernel knows a port of 127.0.0.1) stands in a table by its number, with the inode of
 * the socket: the number may have become another's.
 */
#include "preload/outward.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/broker_client.h"
#include "broker/broker_names.h"
#include "preload/preload.h"

#define OUTWARD_MAX 65536 /* descriptors; those above are called as the kernel calls them */

struct outward {
	ino_t inode;  /* 0: none */
	bool listens; /* the address is its own, else the other end's */
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} addr;
};

static struct broker_client outward_broker = { .fd = -1, .wait = broker_client_wait };
static struct outward outward_table[OUTWARD_MAX];
static pthread_mutex_t outward_lock = PTHREAD_MUTEX_INITIALIZER; /* of the table */

/* Set before bind(2) or connect(2), on the socket that is given up then. */
static const struct {
	int level, name;
} outward_options[] = {
	{ SOL_SOCKET, SO_KEEPALIVE },
	{ IPPROTO_TCP, TCP_KEEPIDLE },
	{ IPPROTO_TCP, TCP_KEEPINTVL },
	{ IPPROTO_TCP, TCP_KEEPCNT },
	{ IPPROTO_TCP, TCP_NODELAY },
	{ IPPROTO_IP, IP_TTL },
};

void outward_init(int fd)
{
	outward_broker.fd = fd;
}

bool outward_has_broker(void)
{
	return outward_broker.fd >= 0;
}

bool outward_is_tcp(int fd)
{
	int protocol;
	socklen_t len = sizeof protocol;

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
	       protocol == IPPROTO_TCP;
}

static ino_t outward_inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

static void outward_remember(int fd, const struct sockaddr *addr, socklen_t len, bool listens)
{
	struct outward *o = &outward_table[fd < OUTWARD_MAX ? fd : 0];

	if (fd >= OUTWARD_MAX)
		return;
	(void)pthread_mutex_lock(&outward_lock);
	o->inode = outward_inode(fd);
	o->listens = listens;
	o->len = len < sizeof o->addr ? len : sizeof o->addr;
	memcpy(&o->addr, addr, o->len);
	(void)pthread_mutex_unlock(&outward_lock);
}

static bool outward_find(int fd, struct outward *ret)
{
	if (fd < 0 || fd >= OUTWARD_MAX)
		return false;
	(void)pthread_mutex_lock(&outward_lock);
	*ret = outward_table[fd];
	(void)pthread_mutex_unlock(&outward_lock);
	return ret->inode != 0 && ret->inode == outward_inode(fd);
}

bool outward_listens(int fd)
{
	struct outward o;

	return outward_find(fd, &o) && o.listens;
}

static void outward_carry(int from, int to)
{
	int value, now;

	for (size_t i = 0; i < sizeof outward_options / sizeof outward_options[0]; i++) {
		int level = outward_options[i].level, name = outward_options[i].name;
		socklen_t len = sizeof value;

		if (getsockopt(from, level, name, &value, &len) == 0 &&
			getsockopt(to, level, name, &now, &len) == 0 && now != value)
			(void)setsockopt(to, level, name, &value, len);
	}
}

/* The broker's socket takes the place of the component's. 0, or -1 with errno. */
static int outward_put(int fd, int broker_fd)
{
	int closes = fcntl(fd, F_GETFD), r;

	outward_carry(fd, broker_fd);
	r = closes < 0 ? -1 : dup3(broker_fd, fd, closes & FD_CLOEXEC ? O_CLOEXEC : 0);
	(void)syscall(SYS_close, broker_fd);
	return r < 0 ? -1 : 0;
}

static int outward_fail(int error)
{
	errno = -error;
	return -1;
}

/* Port 0 says nothing: the kernel's number is shown then. */
static void outward_remember_listener(
	int fd, const struct sockaddr *addr, socklen_t len, uint16_t port)
{
	struct outward o = { .len = len < sizeof o.addr ? len : sizeof o.addr };

	memcpy(&o.addr, addr, o.len);
	if (addr->sa_family == AF_INET)
		o.addr.in4.sin_port = htons(port);
	else
		o.addr.in6.sin6_port = htons(port);
	if (port > 0)
		outward_remember(fd, &o.addr.any, o.len, true);
}

void outward_name(int fd, const struct sockaddr *addr, socklen_t len)
{
	uint16_t port;
	int broker_fd = broker_client_listen(&outward_broker, addr, len, &port);

	if (broker_fd < 0)
		return;
	(void)syscall(SYS_close, broker_fd);
	outward_remember_listener(fd, addr, len, port);
}

int outward_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	uint16_t port;
	int broker_fd = broker_client_listen(&outward_broker, addr, len, &port);

	if (broker_fd < 0)
		return outward_fail(broker_fd);
	if (outward_put(fd, broker_fd) < 0)
		return -1;
	outward_remember_listener(fd, addr, len, port);
	return 0;
}

PRELOAD_EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct outward o;
	int flags, broker_fd;

	if (!outward_has_broker() || !outward_is_tcp(fd) ||
		(addr->sa_family != AF_INET && addr->sa_family != AF_INET6))
		return (int)syscall(SYS_connect, fd, addr, len);
	if (outward_find(fd, &o))
		return outward_fail(o.listens ? -EINVAL : -EISCONN);
	flags = fcntl(fd, F_GETFL);
	broker_fd = broker_client_connect(&outward_broker, addr, len);
	if (broker_fd < 0)
		return outward_fail(broker_fd);
	if (flags >= 0)
		(void)fcntl(broker_fd, F_SETFL, flags);
	if (outward_put(fd, broker_fd) < 0)
		return -1;
	outward_remember(fd, addr, len, false);
	return 0;
}

/* As getsockname(2) does it: what doesn't fit is cut, and the length is the whole one's. */
static int outward_tell(const struct outward *o, struct sockaddr *ret_addr, socklen_t *len)
{
	memcpy(ret_addr, &o->addr, *len < o->len ? *len : o->len);
	*len = o->len;
	return 0;
}

PRELOAD_EXPORT int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct outward o;

	if (outward_find(fd, &o) && !o.listens)
		return outward_tell(&o, addr, len);
	return (int)syscall(SYS_getpeername, fd, addr, len);
}

PRELOAD_EXPORT int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct outward o;

	if (outward_find(fd, &o) && o.listens)
		return outward_tell(&o, addr, len);
	return (int)syscall(SYS_getsockname, fd, addr, len);
}

/* ISO C has no conversion from dlsym(3)'s pointer to a function's; POSIX wants it to work. */
#define OUTWARD_NEXT(function, name)                           \
	do {                                                   \
		void *found = dlsym(RTLD_NEXT, (name));        \
                                                               \
		memcpy(&(function), &found, sizeof(function)); \
	} while (0)

PRELOAD_EXPORT int getaddrinfo(
	const char *name, const char *service, const struct addrinfo *req, struct addrinfo **pai)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (outward_has_broker())
		return broker_names_get(&outward_broker, name, service, req, pai);
	OUTWARD_NEXT(next, "getaddrinfo");
	return next ? next(name, service, req, pai) : EAI_FAIL;
}

PRELOAD_EXPORT void freeaddrinfo(struct addrinfo *ai)
{
	void (*next)(struct addrinfo *);

	if (outward_has_broker()) {
		broker_names_free(ai);
		return;
	}
	OUTWARD_NEXT(next, "freeaddrinfo");
	if (next)
		next(ai);
}
