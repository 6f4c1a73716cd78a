/* SPDX-License-Identifier: MIT */
/*
 * A shop, for the pictures of script/screenshots: it answers in JSON, prints a line in colours for
 * each request, and for a payment wants to connect where no rule lets it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wasmedge.h"

#define GREEN "\033[32m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define DIM "\033[2m"
#define OFF "\033[0m"

static const struct answer {
	const char *request, *status, *type, *body, *said;
} answers[] = {
	{ "GET / ", "200 OK", "text/html",
		"<!doctype html>\n<title>The shop</title>\n<h1>The shop</h1>\n",
		GREEN " INFO" OFF " the front page" },
	{ "GET /products", "200 OK", "application/json",
		"{\"items\":[{\"id\":17,\"name\":\"Espresso cup, 80 "
		"ml\",\"price\":14.5,\"stock\":112},"
		"{\"id\":18,\"name\":\"Saucer\",\"price\":6.25,\"stock\":3}],\"page\":2,\"pages\":"
		"9}",
		GREEN " INFO" OFF " products of page 2, by price\n" YELLOW " WARN" OFF
		      " product 18: only 3 are left" },
	{ "POST /cart", "201 Created", "application/json",
		"{\"cart\":\"c_81\",\"items\":2,\"total\":29.0}",
		GREEN " INFO" OFF " cart c_81: product 17, 2 of them" },
	{ "PUT /cart", "200 OK", "application/json",
		"{\"cart\":\"c_81\",\"items\":3,\"total\":43.5}",
		GREEN " INFO" OFF " cart c_81: product 17, 3 of them" },
	{ "POST /checkout", "502 Bad Gateway", "application/json",
		"{\"error\":\"the payment provider can't be reached\"}",
		RED "ERROR" OFF " checkout of c_81: the payment provider can't be reached" },
	{ "", "404 Not Found", "application/json", "{\"error\":\"there is no such thing\"}",
		YELLOW " WARN" OFF " not found" },
};

static void pay(void)
{
	static const uint8_t host[4] = { 203, 0, 113, 80 };
	const struct address address = { host, sizeof(host) };
	uint32_t fd;

	if (sock_open(INET4, STREAM, &fd) == 0)
		(void)sock_connect(fd, &address, 443);
}

static void serve(int fd)
{
	const struct answer *a = answers;
	char head[8192] = "", out[2048];

	if (read(fd, head, sizeof(head) - 1) <= 0)
		return;
	while (strncmp(head, a->request, strlen(a->request)) != 0)
		a++;
	if (strncmp(head, "POST /checkout", 14) == 0)
		pay();
	snprintf(out, sizeof(out),
		"HTTP/1.1 %s\r\nServer: shop/0.3\r\nContent-Type: %s\r\nConnection: "
		"close\r\nContent-Length: "
		"%zu\r\n\r\n%s",
		a->status, a->type, strlen(a->body), a->body);
	(void)!write(fd, out, strlen(out));
	close(fd);
	head[strcspn(head, "\r\n")] = '\0';
	fprintf(a->status[0] == '5' ? stderr : stdout, "%s " DIM "%s" OFF "\n", a->said, head);
	fflush(stdout);
}

int main(void)
{
	static const uint8_t anywhere[4];
	const struct address address = { anywhere, sizeof(anywhere) };
	uint32_t listener, fd;

	if (sock_open(INET4, STREAM, &listener) || sock_bind(listener, &address, 8080) ||
		sock_listen(listener, 16))
		return 1;
	puts("the shop is open, with 2 products");
	fflush(stdout);
	while (sock_accept(listener, &fd) == 0)
		serve((int)fd);
	return 2;
}
