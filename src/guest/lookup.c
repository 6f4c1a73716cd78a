/* SPDX-License-Identifier: MIT */
/* A question has two owners, the guest and the thread: the last to let go frees it. */
#include "guest/lookup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "guest/call.h"

struct lookup {
	atomic_uint owners;
	int done_fd;          /* readable once the answer is there */
	char *node, *service; /* NULL: none */
	struct addrinfo hint;
	int error;
	struct addrinfo *list;
};

static void lookup_release(struct lookup *l)
{
	if (!l || atomic_fetch_sub(&l->owners, 1) > 1)
		return;
	if (l->list)
		freeaddrinfo(l->list);
	fd_close(l->done_fd);
	free(l->node);
	free(l->service);
	free(l);
}

static void *lookup_run(void *data)
{
	static const uint64_t one = 1;
	struct lookup *l = data;

	l->error = getaddrinfo(l->node, l->service, &l->hint, &l->list);
	(void)!write(l->done_fd, &one, sizeof(one));
	lookup_release(l);
	return NULL;
}

static struct lookup *lookup_new(const char *node, const char *service, const struct addrinfo *hint)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->owners = 1;
	l->hint = *hint;
	l->node = node ? strdup(node) : NULL;
	l->service = service ? strdup(service) : NULL;
	l->done_fd = eventfd(0, EFD_CLOEXEC);
	if (l->done_fd >= 0 && !l->node == !node && !l->service == !service)
		return l;
	lookup_release(l);
	return NULL;
}

static int lookup_start(struct lookup *l)
{
	pthread_t thread;
	int r;

	l->owners = 2;
	r = pthread_create(&thread, NULL, lookup_run, l);
	if (r == 0)
		return pthread_detach(thread);
	l->owners = 1;
	return r;
}

int lookup_get(const struct call *c, const char *node, const char *service,
	const struct addrinfo *hint, struct addrinfo **ret_list)
{
	struct lookup *l = lookup_new(node, service, hint);
	uint64_t count;
	int error = 0, r;

	if (!l || lookup_start(l) != 0) {
		lookup_release(l);
		return EAI_MEMORY;
	}
	do
		r = call_wait_fd(c, l->done_fd, POLLIN, INT64_MAX);
	while (r == 0);
	if (r > 0) {
		/* C knows nothing of a wait: it is this by which the answer comes before. */
		(void)!read(l->done_fd, &count, sizeof(count));
		*ret_list = l->list;
		l->list = NULL;
		r = l->error;
	} else {
		error = -r;
		r = EAI_SYSTEM;
	}
	lookup_release(l);
	errno = error;
	return r;
}
