/* SPDX-License-Identifier: MIT */
/*
 * Serves one visitor after the other. What a visitor says comes back, until he has said all, unless
 * it begins with 'r': then he is reset, his other bytes unread.
 */
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER 3

static void echo(int fd)
{
	static char data[65536];
	ssize_t n, done, sent;

	while ((n = read(fd, data, sizeof(data))) > 0)
		for (done = 0; done < n; done += sent) {
			sent = write(fd, data + done, (size_t)(n - done));
			if (sent < 0)
				return;
		}
}

int main(void)
{
	char first = 0;
	int fd;

	while ((fd = accept(LISTENER, NULL, NULL)) >= 0) {
		if (recv(fd, &first, 1, MSG_PEEK) != 1 || first != 'r')
			echo(fd);
		close(fd);
	}
	return 1;
}
