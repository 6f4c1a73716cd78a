/* SPDX-License-Identifier: MIT */
/*
 * Stands in an engine's place, and knows nothing of WebAssembly: what it can't do there, no engine
 * that was taken over can. Each argument behind the module is OP=SUBJECT; it prints a line for each
 * of them, with what errno(3) said, or 0. Then it waits to be ended. As the compiler it leaves an
 * empty file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? errno : close(fd);
}

/* What the page's API writes without --writable: wasmrun.toml. The version is that of no file. */
#define WRITES_A_RULE "{\"rule\":\"by.api\",\"version\":\"e3b0c44298fc1c149afbf4c8996fb924\"}"

static int try_connect(const char *port, const char *words)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((unsigned short)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[64] = "";
	int error = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		error = errno;
	if (error == 0 && *words) {
		if (send(fd, words, strlen(words), MSG_NOSIGNAL) < 0 ||
			recv(fd, answer, sizeof answer - 1, 0) < 0)
			error = errno;
		else if (strncmp(answer, "HTTP/1.1 200", 12) != 0)
			error = EPROTO;
	}
	(void)close(fd);
	return error;
}

static const char *code_dir = ""; /* of --cache */

static int try_code(const char *name, int flags)
{
	char path[4096];

	(void)snprintf(path, sizeof path, "%s/%s", code_dir, name);
	return try_open(path, flags);
}

#define RACES 200 /* that each side has won, before it is enough */
#define TRIES 2000000

/* Exchanges DIR/real, a folder, and DIR/link, which leads out of it. */
static void *swap(void *dir)
{
	char real[4096], link[4096];

	(void)snprintf(real, sizeof real, "%s/real", (char *)dir);
	(void)snprintf(link, sizeof link, "%s/link", (char *)dir);
	for (;;)
		if (renameat2(AT_FDCWD, real, AT_FDCWD, link, RENAME_EXCHANGE) < 0)
			return NULL;
}

/* Opens DIR/real/passwd meanwhile. 0: it was /etc/passwd once; else what it was in its place. */
static int race(const char *dir)
{
	int honest = 0, refused = 0, error = EPROTO;
	char path[4096], word[5];
	pthread_t thread;

	(void)snprintf(path, sizeof path, "%s/real/passwd", dir);
	if (pthread_create(&thread, NULL, swap, (void *)dir) != 0)
		return EAGAIN;
	for (int i = 0; i < TRIES && (honest < RACES || refused < RACES); i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			refused++;
			error = errno;
			continue;
		}
		honest++;
		if (read(fd, word, sizeof word) == sizeof word && memcmp(word, "root:", 5) == 0)
			return 0;
		(void)close(fd);
	}
	return honest && refused ? error : EPROTO;
}

/* Asks whether the process whose number stands in the file takes signals from here. */
static int try_signal(const char *path)
{
	char number[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, number, sizeof number - 1) < 1)
		return EPROTO;
	(void)close(fd);
	return kill((pid_t)atoi(number), 0) < 0 ? errno : 0;
}

/* Until it is there: somebody has done what it stands for. */
static int await(const char *path)
{
	for (int i = 0; i < 15000 && access(path, F_OK) < 0; i++)
		(void)usleep(1000);
	return access(path, F_OK) < 0 ? errno : 0;
}

/* As the compiler: what it may do is to leave something in its folder. */
static int compile(int status_fd)
{
	printf("compiler own %d\n", try_code("module.cwasm", O_WRONLY | O_CREAT));
	printf("compiler outside %d\n", try_code("../outside", O_WRONLY | O_CREAT));
	printf("compiler socket %d\n", socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0);
	(void)fflush(stdout);
	return write(status_fd, "\n", 1) != 1;
}

static int try(const char *op, const char *subject)
{
	char words[512];

	if (strcmp(op, "read") == 0)
		return try_open(subject, O_RDONLY);
	if (strcmp(op, "write") == 0)
		return try_open(subject, O_WRONLY | O_APPEND);
	if (strcmp(op, "create") == 0)
		return try_open(subject, O_WRONLY | O_CREAT);
	if (strcmp(op, "readcode") == 0)
		return try_code(subject, O_RDONLY);
	if (strcmp(op, "writecode") == 0)
		return try_code(subject, O_WRONLY | O_CREAT);
	if (strcmp(op, "empty") == 0)
		return truncate(subject, 0) < 0 ? errno : 0;
	if (strcmp(op, "unlink") == 0)
		return unlink(subject) < 0 ? errno : 0;
	if (strcmp(op, "connect") == 0)
		return try_connect(subject, "");
	if (strcmp(op, "api") == 0) {
		(void)snprintf(words, sizeof words,
			"POST /api/network/allow HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n"
			"Content-Length: %zu\r\n\r\n" WRITES_A_RULE,
			subject, strlen(WRITES_A_RULE));
		return try_connect(subject, words);
	}
	if (strcmp(op, "descriptor") == 0)
		return fcntl(atoi(subject), F_GETFD) < 0 ? errno : 0;
	if (strcmp(op, "race") == 0)
		return race(subject);
	if (strcmp(op, "signal") == 0)
		return try_signal(subject);
	if (strcmp(op, "await") == 0)
		return await(subject);
	if (strcmp(op, "exec") == 0) {
		char *const argv[] = { (char *)subject, "--tell", NULL };

		(void)execv(subject, argv);
		return errno;
	}
	return -1;
}

/* The number that is told with an option of this name; -1: none is. */
static int option_number(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], name, strlen(name)) == 0)
			return atoi(argv[i] + strlen(name));
	return -1;
}

int main(int argc, char **argv)
{
	int status_fd = option_number(argc, argv, "--status-fd=");
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strncmp(argv[i], "--cache=", strlen("--cache=")) == 0)
			code_dir = argv[i] + strlen("--cache=");
	if (strcmp(argv[1], "--compile") == 0)
		return compile(status_fd);
	for (i += 2; i < argc; i++) {
		char *subject = strchr(argv[i], '=');

		if (!subject)
			return 2;
		*subject++ = '\0';
		printf("%s=%s %d\n", argv[i], subject, try(argv[i], subject));
		(void)fflush(stdout);
	}
	printf("done\n");
	(void)fflush(stdout);
	if (write(status_fd, "\n", 1) != 1)
		return 3;
	for (;;)
		(void)pause();
}
