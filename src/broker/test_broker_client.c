/* SPDX-License-Identifier: MIT */
/* Requests to a broker that is as it should be, that answers nonsense, that is silent or gone. */
#include "broker/broker_client.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_names.h"
#include "broker/test_fake_broker.h"

static struct fake_broker broker;

static struct sockaddr_in address(uint32_t ipv4, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ipv4)
	};
}

static int connect_to(uint32_t ipv4, uint16_t port)
{
	const struct sockaddr_in to = address(ipv4, port);

	return broker_client_connect(&broker.client, (const struct sockaddr *)&to, sizeof to);
}

static int listen_on(uint16_t port, uint16_t *ret_port)
{
	const struct sockaddr_in at = address(INADDR_ANY, port);

	return broker_client_listen(
		&broker.client, (const struct sockaddr *)&at, sizeof at, ret_port);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in name = { 0 };
	socklen_t len = sizeof name;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return ntohs(name.sin_port);
}

static unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

static void test_requests(void **state)
{
	struct broker_addr addrs[BROKER_ADDRS_MAX];
	uint16_t port = 0;
	int listener, fd, visitor;

	fake_broker_start(&broker, fake_broker_serve);
	assert_int_equal(broker_client_resolve(&broker.client, FAKE_NAME, BROKER_ANY, addrs), 2);
	assert_int_equal(addrs[0].family, BROKER_IPV4);
	assert_int_equal(addrs[0].bytes[0], 198);
	assert_int_equal(broker_client_resolve(&broker.client, FAKE_NAME, BROKER_IPV6, addrs), 1);
	assert_int_equal(addrs[0].family, BROKER_IPV6);
	assert_int_equal(
		broker_client_resolve(&broker.client, "refused.test", BROKER_ANY, addrs), -ENOENT);

	listener = listen_on(FAKE_PORT, &port);
	assert_true(listener >= 0);
	assert_int_equal(port, FAKE_PORT);
	assert_int_equal(fcntl(listener, F_GETFD), FD_CLOEXEC);
	assert_int_equal(listen_on(FAKE_PORT + 1, &port), -EACCES);

	fd = connect_to(FAKE_IPV4, port_of(listener));
	assert_true(fd >= 0);
	visitor = accept(listener, NULL, NULL);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(visitor, &(char){ 0 }, 1), 1);
	assert_int_equal(connect_to(FAKE_IPV4 + 1, port_of(listener)), -EACCES);
	assert_int_equal(broker_client_datagrams(&broker.client, BROKER_IPV6), -EACCES);
	(void)close(fd);
	(void)close(visitor);
	(void)close(listener);
	fake_broker_stop(&broker);
}

/* Where there is none nothing is to be had. */
static void test_no_broker(void **state)
{
	const struct sockaddr_in to = address(FAKE_IPV4, 1);
	const struct sockaddr *addr = (const struct sockaddr *)&to;
	const struct broker_client nobody = { .fd = -1, .wait = broker_client_wait };
	struct broker_addr addrs[BROKER_ADDRS_MAX];
	uint16_t port;

	assert_int_equal(broker_client_connect(&nobody, addr, sizeof to), -EACCES);
	assert_int_equal(broker_client_listen(&nobody, addr, sizeof to, &port), -EACCES);
	assert_int_equal(broker_client_datagrams(&nobody, BROKER_IPV4), -EACCES);
	assert_int_equal(broker_client_resolve(&nobody, "a", BROKER_ANY, addrs), -ENOENT);
}

/* What isn't sent at all. */
static void test_no_request(void **state)
{
	const struct sockaddr local = { .sa_family = AF_UNIX };
	struct broker_addr addrs[BROKER_ADDRS_MAX];
	char name[BROKER_NAME_MAX + 1];

	memset(name, 'a', sizeof name);
	name[BROKER_NAME_MAX] = '\0';
	fake_broker_start(&broker, fake_broker_serve);
	assert_int_equal(
		broker_client_connect(&broker.client, &local, sizeof local), -EAFNOSUPPORT);
	assert_int_equal(broker_client_connect(&broker.client, &local, 0), -EAFNOSUPPORT);
	assert_int_equal(
		broker_client_resolve(&broker.client, name, BROKER_ANY, addrs), -ENAMETOOLONG);
	assert_int_equal(broker_client_resolve(&broker.client, "", BROKER_ANY, addrs), -ENOENT);
	name[BROKER_NAME_MAX - 1] = '\0';
	assert_int_equal(broker_client_resolve(&broker.client, name, BROKER_ANY, addrs), -ENOENT);
	fake_broker_stop(&broker);
	assert_int_equal(broker.requests, 1);
}

static int answer_no_fd(const struct broker_request *request, struct broker_answer *answer)
{
	return FAKE_NO_FD;
}

static int answer_fd(const struct broker_request *request, struct broker_answer *answer)
{
	return dup(STDIN_FILENO);
}

static int answer_error_and_fd(const struct broker_request *request, struct broker_answer *answer)
{
	answer->error = EACCES;
	return dup(STDIN_FILENO);
}

static int answer_bad_error(const struct broker_request *request, struct broker_answer *answer)
{
	answer->error = -1;
	return FAKE_NO_FD;
}

static int answer_many(const struct broker_request *request, struct broker_answer *answer)
{
	answer->count = BROKER_ADDRS_MAX + 1;
	return FAKE_NO_FD;
}

static int answer_bad_family(const struct broker_request *request, struct broker_answer *answer)
{
	answer->count = 1;
	answer->addrs[0].family = 5;
	return FAKE_NO_FD;
}

/* Each is refused, and no descriptor stays behind. */
static void test_nonsense(void **state)
{
	static const struct {
		fake_answer_fn answer;
		size_t size;
		unsigned fds;
		bool connects;
	} cases[] = {
		{ answer_no_fd, sizeof(struct broker_answer), 1, true },
		{ answer_fd, sizeof(struct broker_answer), 2, true },
		{ answer_fd, sizeof(struct broker_answer), 3, true },
		{ answer_fd, sizeof(struct broker_answer) - 1, 1, true },
		{ answer_fd, 1, 1, true },
		{ answer_error_and_fd, sizeof(struct broker_answer), 1, true },
		{ answer_bad_error, sizeof(struct broker_answer), 1, true },
		{ answer_fd, sizeof(struct broker_answer), 1, false },
		{ answer_no_fd, sizeof(struct broker_answer), 1, false },
		{ answer_many, sizeof(struct broker_answer), 1, false },
		{ answer_bad_family, sizeof(struct broker_answer), 1, false },
	};
	struct broker_addr addrs[BROKER_ADDRS_MAX];
	unsigned before;
	int r;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		before = open_fds();
		fake_broker_start(&broker, cases[i].answer);
		broker.answer_size = cases[i].size;
		broker.fds = cases[i].fds;
		r = cases[i].connects
			    ? connect_to(FAKE_IPV4, 1)
			    : broker_client_resolve(&broker.client, FAKE_NAME, BROKER_ANY, addrs);
		assert_int_equal(r, -EIO);
		fake_broker_stop(&broker);
		assert_int_equal(open_fds(), before);
	}
}

static void test_gone(void **state)
{
	struct addrinfo *list = NULL;

	fake_broker_start(&broker, fake_broker_serve);
	fake_broker_die(&broker);
	assert_int_equal(connect_to(FAKE_IPV4, 1), -ECONNREFUSED);
	assert_int_equal(broker_names_get(&broker.client, FAKE_NAME, NULL, NULL, &list), EAI_AGAIN);
	assert_null(list);
	fake_broker_stop(&broker);
}

static int answer_silence(const struct broker_request *request, struct broker_answer *answer)
{
	return FAKE_SILENCE;
}

/* It takes the request, and dies over it. */
static int wait_for_death(void *owner, int fd, short events)
{
	if (events == POLLIN) {
		while (!broker.requests)
			sched_yield();
		fake_broker_die(&broker);
	}
	return broker_client_wait(NULL, fd, events);
}

static void test_death_in_the_midst(void **state)
{
	fake_broker_start(&broker, answer_silence);
	broker.client.wait = wait_for_death;
	assert_int_equal(connect_to(FAKE_IPV4, 1), -ECONNREFUSED);
	fake_broker_stop(&broker);
}

/* The guest has something else to listen to, and waits no longer. */
static int wait_until_aborted(void *owner, int fd, short events)
{
	struct pollfd fds[] = { { fd, events, 0 }, { *(int *)owner, POLLIN, 0 } };

	assert_int_equal(poll(fds, 2, -1), 1);
	return fds[1].revents ? -ECANCELED : 0;
}

static void test_silence(void **state)
{
	int ends[2], patience_ms = 1;

	assert_int_equal(pipe(ends), 0);
	fake_broker_start(&broker, answer_silence);
	broker.client.owner = &patience_ms;
	assert_int_equal(connect_to(FAKE_IPV4, 1), -ETIMEDOUT);
	fake_broker_stop(&broker);

	fake_broker_start(&broker, answer_silence);
	broker.client.wait = wait_until_aborted;
	broker.client.owner = &ends[0];
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(connect_to(FAKE_IPV4, 1), -ECANCELED);
	fake_broker_stop(&broker);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static unsigned full_waits;

static int wait_with_room(void *owner, int fd, short events)
{
	int *peer = owner;
	char scrap[sizeof(struct broker_request)];

	if (events == POLLOUT) {
		full_waits++;
		assert_int_equal(recv(*peer, scrap, sizeof scrap, 0), sizeof scrap);
		return 0;
	}
	return -ECANCELED;
}

/* More requests than the socket holds: the next one waits for room. */
static void test_full(void **state)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	broker.client =
		(struct broker_client){ .fd = ends[0], .wait = wait_with_room, .owner = &ends[1] };
	full_waits = 0;
	for (unsigned i = 0; i < 10000 && !full_waits; i++)
		assert_int_equal(connect_to(FAKE_IPV4, 1), -ECANCELED);
	assert_true(full_waits > 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* name, service, family, flags: an error, or how many, and the port. */
static const struct {
	const char *node, *service;
	int family, flags, error;
	unsigned count;
	uint16_t port;
} names[] = {
	{ FAKE_NAME, NULL, AF_UNSPEC, 0, 0, 2, 0 },
	{ FAKE_NAME, "443", AF_INET, 0, 0, 1, 443 },
	{ FAKE_NAME, "https", AF_INET6, AI_CANONNAME, 0, 1, 443 },
	{ FAKE_NAME, "65536", AF_UNSPEC, 0, EAI_SERVICE, 0, 0 },
	{ FAKE_NAME, "http?", AF_UNSPEC, 0, EAI_SERVICE, 0, 0 },
	{ FAKE_NAME, "http", AF_UNSPEC, AI_NUMERICSERV, EAI_NONAME, 0, 0 },
	{ FAKE_NAME, NULL, AF_UNSPEC, AI_NUMERICHOST, EAI_NONAME, 0, 0 },
	{ FAKE_NAME, NULL, AF_UNIX, 0, EAI_FAMILY, 0, 0 },
	{ "refused.test", NULL, AF_UNSPEC, 0, EAI_NONAME, 0, 0 },
	{ NULL, NULL, AF_UNSPEC, 0, EAI_NONAME, 0, 0 },
	{ NULL, "80", AF_UNSPEC, AI_PASSIVE, 0, 2, 80 },
	{ "LocalHost", "5432", AF_UNSPEC, 0, 0, 2, 5432 },
	{ "db.localhost.", NULL, AF_INET, 0, 0, 1, 0 },
	{ "notlocalhost", NULL, AF_UNSPEC, 0, EAI_NONAME, 0, 0 },
	{ "127.1", NULL, AF_UNSPEC, 0, 0, 1, 0 },
	{ "0x7f000001", NULL, AF_INET, AI_NUMERICHOST, 0, 1, 0 },
	{ "127.0.0.1 x", NULL, AF_UNSPEC, 0, EAI_NONAME, 0, 0 },
	{ "::1", "8080", AF_UNSPEC, 0, 0, 1, 8080 },
	{ "::1", NULL, AF_INET, 0, EAI_NONAME, 0, 0 },
	{ "127.0.0.1", NULL, AF_INET6, 0, EAI_NONAME, 0, 0 },
	{ "", NULL, AF_UNSPEC, 0, EAI_NONAME, 0, 0 },
};

static void test_names(void **state)
{
	fake_broker_start(&broker, fake_broker_serve);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct addrinfo hint = { .ai_family = names[i].family,
			.ai_flags = names[i].flags };
		struct addrinfo *list = NULL, *entry;
		unsigned count = 0;

		assert_int_equal(broker_names_get(&broker.client, names[i].node, names[i].service,
					 &hint, &list),
			names[i].error);
		for (entry = list; entry; entry = entry->ai_next, count++) {
			const struct sockaddr_in *in4 = (const struct sockaddr_in *)entry->ai_addr;

			assert_int_equal(entry->ai_addr->sa_family, entry->ai_family);
			assert_int_equal(entry->ai_socktype, SOCK_STREAM);
			assert_int_equal(entry->ai_protocol, IPPROTO_TCP);
			assert_int_equal(in4->sin_port, htons(names[i].port));
		}
		assert_int_equal(count, names[i].count);
		if (list && (names[i].flags & AI_CANONNAME))
			assert_string_equal(list->ai_canonname, names[i].node);
		broker_names_free(list);
	}
	fake_broker_stop(&broker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_no_broker),
		cmocka_unit_test(test_no_request),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_death_in_the_midst),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
