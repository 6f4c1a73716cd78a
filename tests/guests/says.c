/* SPDX-License-Identifier: MIT */
/*
 * An HTTP server that answers what it is told, for one visitor after the other. A request with a
 * header "Say: HEX" gets those bytes, whatever they are; any other one gets its own body back.
 * "Then: close" ends the connection behind it, "Then: echo" says all that follows again.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER 3
#define REQUEST_MAX (1 << 20)

static char data[REQUEST_MAX + 1];
static size_t have;

static bool fill(int fd)
{
	ssize_t n = have < REQUEST_MAX ? read(fd, data + have, REQUEST_MAX - have) : 0;

	if (n <= 0)
		return false;
	have += (size_t)n;
	data[have] = '\0';
	return true;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static const char *find(const char *from, size_t len, const char *what)
{
	size_t size = strlen(what);

	for (; len >= size; from++, len--)
		if (memcmp(from, what, size) == 0)
			return from;
	return NULL;
}

/* The value of a header, or NULL. */
static const char *header(size_t head, const char *name)
{
	const char *line = data;

	while ((line = find(line, head - (size_t)(line - data), "\r\n"))) {
		line += 2;
		if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			return line + strlen(name) + 2;
	}
	return NULL;
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static bool say(int fd, const char *text)
{
	static char bytes[REQUEST_MAX];
	size_t n = 0;

	for (; text[0] > ' ' && text[1] > ' '; text += 2)
		bytes[n++] = (char)(hex(text[0]) << 4 | hex(text[1]));
	return send_all(fd, bytes, n);
}

static bool answer(int fd, size_t head, size_t len)
{
	const char *told = header(head, "Say");
	char text[128];

	if (told)
		return say(fd, told);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
	return send_all(fd, text, strlen(text)) && send_all(fd, data + head, len);
}

/* One request. False: the connection is over. */
static bool serve(int fd)
{
	const char *end, *value;
	size_t head, len = 0;

	while (!(end = find(data, have, "\r\n\r\n")))
		if (!fill(fd))
			return false;
	head = (size_t)(end + 4 - data);
	if ((value = header(head, "Content-Length")))
		len = (size_t)atol(value);
	while (have < head + len)
		if (!fill(fd))
			return false;
	if (header(head, "Transfer-Encoding")) {
		const char *last;

		while (!(last = find(data + head, have - head, "0\r\n")) ||
			!(end = find(last, have - (size_t)(last - data), "\r\n\r\n")))
			if (!fill(fd))
				return false;
		len = (size_t)(end + 4 - data) - head;
	}
	if (!answer(fd, head, len))
		return false;
	value = header(head, "Then");
	if (value && *value == 'c')
		return false;
	have -= head + len;
	memmove(data, data + head + len, have + 1);
	while (value && *value == 'e') {
		if (!send_all(fd, data, have))
			return false;
		have = 0;
		if (!fill(fd))
			return false;
	}
	return true;
}

int main(void)
{
	int fd;

	while ((fd = accept(LISTENER, NULL, NULL)) >= 0) {
		have = 0;
		data[0] = '\0';
		while (serve(fd))
			;
		close(fd);
	}
	return 1;
}
