/* SPDX-License-Identifier: MIT */
/*
 * Ends in the middle of an answer, as the visitor's first letter says: 'c' closes, 's' shuts its
 * side and stays, 'e' exits, 't' traps, and any other waits for what else may end it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREOPENED 3

int main(void)
{
	static const char half[] = "half of the ans";
	char letter;
	int fd = accept(PREOPENED, NULL, NULL);

	if (fd < 0 || read(fd, &letter, 1) != 1 || write(fd, half, strlen(half)) < 0)
		return 1;
	switch (letter) {
	case 'c':
		close(fd);
		break;
	case 's':
		shutdown(fd, SHUT_WR);
		break;
	case 'e':
		exit(3);
	case 't':
		__builtin_trap();
	default:
		break;
	}
	return read(fd, &letter, 1) != 1;
}
