/* SPDX-License-Identifier: MIT */
/* All that comes is gathered first, so that half of it is never served. */
#include "relay/takeover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/fd.h"
#include "base/owner.h"

static int takeover_connect(struct takeover *t, const char *path)
{
	const struct timeval wait = { .tv_sec = TAKEOVER_WAIT_MS / 1000 };
	_cleanup_(fd_closep) int fd = -1;
	struct sockaddr_un addr;
	int r = handover_wire_address(path, &addr);

	if (r == 0)
		r = handover_wire_socket(0, &fd);
	if (r < 0)
		return r;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		/* No file, or one that a relay left behind. */
		return errno == ENOENT || errno == ECONNREFUSED ? 0 : -errno;
	r = handover_wire_check_peer(fd);
	if (r == 0)
		t->fd = take_fd(&fd);
	return r;
}

static int takeover_keep(struct takeover *t, const struct handover_batch *batch)
{
	size_t count = t->count + batch->count;
	struct handover_item *items = reallocarray(t->items, count, sizeof(*items));
	int *fds = items ? reallocarray(t->fds, count, sizeof(*fds)) : NULL;

	if (items)
		t->items = items;
	if (fds)
		t->fds = fds;
	if (!fds) {
		for (size_t i = 0; i < batch->count; i++)
			(void)fd_close(batch->fds[i]);
		return -ENOMEM;
	}
	memcpy(t->items + t->count, batch->items, batch->count * sizeof(*items));
	memcpy(t->fds + t->count, batch->fds, batch->count * sizeof(*fds));
	t->count = count;
	return 0;
}

static int takeover_ask(
	struct takeover *t, enum handover_word word, struct handover_batch *ret_batch)
{
	int r = handover_wire_send_ask(t->fd, word);

	return r < 0 ? r : handover_wire_receive_batch(t->fd, ret_batch);
}

int takeover_begin(struct takeover *t, const char *path)
{
	struct handover_batch batch;
	int r = takeover_connect(t, path);

	while (r == 0 && t->fd >= 0) {
		r = takeover_ask(t, HANDOVER_GIVE, &batch);
		if (r < 0 || !batch.count)
			break;
		r = takeover_keep(t, &batch);
	}
	if (r < 0)
		takeover_end(t);
	return r;
}

int takeover_finish(struct takeover *t)
{
	struct handover_batch batch;
	int r = takeover_ask(t, HANDOVER_TAKEN, &batch);

	/* It has nothing more to give. */
	for (size_t i = 0; r == 0 && i < batch.count; i++)
		(void)fd_close(batch.fds[i]);
	t->fd = fd_close(t->fd);
	return r;
}

void takeover_end(struct takeover *t)
{
	for (size_t i = 0; i < t->count; i++)
		(void)fd_close(t->fds[i]);
	free(t->items);
	free(t->fds);
	t->fd = fd_close(t->fd);
	t->items = NULL;
	t->fds = NULL;
	t->count = 0;
}
