/* SPDX-License-Identifier: MIT */
/* A link to a server of OpenSSL's that does what no honest one would. tests/e2e/test_front.py has
 * the honest ones. */
#include "front/tls.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/stream_pair.h"

#define KEY_UPDATES 300 /* some 8 KiB: they all lie in the socket at once */

struct fixture {
	uv_loop_t loop;
	struct tls_context *context;
	struct tls_link *link;
	SSL_CTX *server_ctx;
	SSL *server;
	int fd; /* of the server */
	int own_fd;
	bool closed;
	char why[TLS_WHY_MAX];
};

static void on_failed(void *owner, const char *why)
{
	struct fixture *f = owner;

	(void)snprintf(f->why, sizeof(f->why), "%s", why);
}

static void on_closed(void *owner)
{
	struct fixture *f = owner;

	f->closed = true;
}

/* One that has signed itself, for the names in the syntax of x509v3_config(5). */
static X509 *make_certificate(EVP_PKEY *key, const char *names)
{
	X509 *cert = X509_new();
	X509_EXTENSION *extension =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, (char *)names);

	assert_non_null(cert);
	assert_non_null(extension);
	assert_int_equal(X509_set_version(cert, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	X509_EXTENSION_free(extension);
	return cert;
}

/* A link to a server with such a certificate, which the client trusts. */
static void connect_to(struct fixture *f, const char *names)
{
	const struct tls_events events = { on_failed, on_closed, f };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make_certificate(key, names);
	char path[] = "/tmp/test-tls-XXXXXX", why[TLS_WHY_MAX];
	int fd = mkstemp(path), pair[2];
	FILE *file = fdopen(fd, "w");

	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, cert), 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(tls_context_new("localhost", path, &f->context, why), 0);
	assert_int_equal(unlink(path), 0);
	f->server_ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(f->server_ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(f->server_ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);

	assert_int_equal(stream_pair_open(pair), 0);
	f->fd = pair[1];
	f->server = SSL_new(f->server_ctx);
	assert_int_equal(SSL_set_fd(f->server, f->fd), 1);
	assert_int_equal(
		tls_link_open(f->context, &f->loop, pair[0], &events, &f->link, &f->own_fd), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(uv_loop_init(&f->loop), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!f->closed)
		tls_link_abort(f->link);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	SSL_free(f->server);
	SSL_CTX_free(f->server_ctx);
	f->context = tls_context_free(f->context);
	(void)fd_close(f->fd);
	(void)fd_close(f->own_fd);
	free(f);
	return 0;
}

/* One of them is a turn's work: others of the loop have theirs in between. */
static void test_key_updates_hold_nobody_up(void **state)
{
	struct fixture *f = *state;
	unsigned turns = 0;
	char byte = 0;

	connect_to(f, "DNS:localhost");
	while (SSL_accept(f->server) != 1)
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	for (unsigned i = 0; i < KEY_UPDATES; i++) {
		assert_int_equal(SSL_key_update(f->server, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(f->server), 1);
	}
	assert_int_equal(SSL_write(f->server, "x", 1), 1);
	for (; recv(f->own_fd, &byte, 1, 0) < 0; turns++)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(byte, 'x');
	assert_true(turns >= KEY_UPDATES);
	assert_string_equal(f->why, "");
}

/* The second name is an address of one byte, and none. */
static void test_address_that_is_none(void **state)
{
	struct fixture *f = *state;

	connect_to(f, "DER:30:06:82:01:61:87:01:7f");
	while (!f->closed) {
		(void)SSL_accept(f->server);
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	assert_non_null(strstr(f->why, "is for another name (a);"));
}

/* Such a server refuses our versions by an alert. */
static void test_server_without_tls_1_2(void **state)
{
	struct fixture *f = *state;

	connect_to(f, "DNS:localhost");
	assert_int_equal(SSL_set_max_proto_version(f->server, TLS1_1_VERSION), 1);
	while (!f->closed) {
		(void)SSL_accept(f->server);
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	assert_non_null(strstr(f->why, "none from 1.2 on;"));
}

static void test_addresses(void **state)
{
	struct fixture *f = *state;

	connect_to(f, "IP:192.0.2.1, IP:2001:db8::1, DNS:a");
	while (!f->closed) {
		(void)SSL_accept(f->server);
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	assert_non_null(strstr(f->why, "is for another name (192.0.2.1, 2001:db8::1, a);"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_key_updates_hold_nobody_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address_that_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_without_tls_1_2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
