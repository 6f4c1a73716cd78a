/* SPDX-License-Identifier: MIT */
/*
 * Opens argv[1] again and again while somebody outside swaps the folder above it with a link that
 * leads out. It ends well when both have won often enough and nothing of outside was read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RACES 200 /* that each side has won, before it is enough */
#define TRIES 2000000

int main(int argc, char **argv)
{
	int honest = 0, refused = 0;
	char word[6];

	for (int i = 0; i < TRIES && (honest < RACES || refused < RACES); i++) {
		int fd = open(argv[1], O_RDONLY);

		if (fd < 0) {
			refused++;
			continue;
		}
		honest++;
		if (read(fd, word, sizeof word) != sizeof word || memcmp(word, "honest", 6) != 0)
			return 1;
		close(fd);
	}
	if (honest < RACES || refused < RACES)
		return 2;
	puts("only what is in the folder");
	return 0;
}
