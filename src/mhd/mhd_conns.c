/* SPDX-License-Identifier: MIT */
#include "mhd/mhd_conns.h"

#include <sys/socket.h>

int mhd_conns_init(struct mhd_conns *set)
{
	list_init(&set->open);
	set->count = 0;
	return lingering_init(&set->lingering);
}

void mhd_conns_deinit(struct mhd_conns *set)
{
	lingering_deinit(&set->lingering);
}

void *mhd_conn_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

void mhd_conns_add(struct mhd_conns *set, struct mhd_conn *conn, struct MHD_Connection *connection)
{
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

	if (!conn) {
		(void)shutdown(fd, SHUT_RDWR);
		return;
	}
	conn->fd = fd;
	conn->peer_ended = false;
	conn->deadline_ms = UINT64_MAX;
	list_push_back(&set->open, &conn->link);
	set->count++;
}

void mhd_conns_remove(struct mhd_conns *set, struct mhd_conn *conn)
{
	lingering_add(&set->lingering, conn->fd);
	list_remove(&conn->link);
	set->count--;
}

void mhd_conn_end(struct mhd_conn *conn)
{
	conn->deadline_ms = UINT64_MAX;
	(void)shutdown(conn->fd, SHUT_RDWR);
}

void mhd_conns_sweep(struct mhd_conns *set, uint64_t now_ms)
{
	list_for_each(pos, &set->open) {
		struct mhd_conn *conn = list_entry(pos, struct mhd_conn, link);

		if (now_ms >= conn->deadline_ms) {
			mhd_conn_end(conn);
		} else if (!conn->peer_ended && lingering_peer_has_ended(conn->fd)) {
			/* Makes an event of the end, at which libmicrohttpd reads it. A request
			 * that is whole is answered all the same. */
			conn->peer_ended = true;
			(void)shutdown(conn->fd, SHUT_RD);
		}
	}
	lingering_run(&set->lingering);
}
