/* SPDX-License-Identifier: MIT */
/* Ends in the way that its argument names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory that the compiler must believe is used. */
static int fill_memory(void)
{
	for (;;) {
		char *block = malloc(1 << 20);

		if (!block) {
			puts("out of memory");
			return 3;
		}
		memset(block, 1, 1 << 20);
		__asm__ volatile("" ::"r"(block) : "memory");
	}
}

static int copy(FILE *in)
{
	int c;

	if (!in) {
		perror("ends");
		return 4;
	}
	while ((c = getc(in)) != EOF)
		putchar(c);
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "0";

	if (strcmp(how, "trap") == 0)
		__builtin_trap();
	if (strcmp(how, "memory") == 0)
		return fill_memory();
	if (strcmp(how, "copy") == 0)
		return copy(stdin);
	if (strcmp(how, "read") == 0)
		return copy(fopen(argv[2], "r"));
	if (strcmp(how, "spin") == 0)
		for (volatile int i = 0;; i++)
			;
	if (strcmp(how, "environment") == 0) {
		printf("%s %s %s %s\n", argv[0], getenv("FRUIT"), getenv("LISTEN_FDS"), argv[2]);
		return 0;
	}
	return atoi(how);
}
