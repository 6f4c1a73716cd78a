/* SPDX-License-Identifier: MIT */
/*
 * A link has two sides, the network's and its owner's, and a direction towards each. A direction
 * holds at most one record's bytes: it is filled when it is empty, and emptied before it is filled
 * again, so that who doesn't read is not read for. link_run() moves what can be moved, at most
 * TLS_MOVED_MAX bytes, and then asks for the events without which nothing can go on.
 *
 * How a side ends:
 *
 *   close_notify    an end: the other side gets a FIN behind all that came before it
 *   a FIN of ours   likewise, as close_notify and FIN
 *   anything else   a cut (but for link_has_ended()), an EOF of TCP without close_notify among
 * them: whoever can drop packets could make one. Both sides are reset
 *
 * A link whose directions are both done is closed in order. All it holds goes in the second close
 * callback of its two handles.
 */
#include "front/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "net/addr.h"
#include "net/sockopt.h"
#include "net/stream_pair.h"

#define TLS_RECORD 16384 /* the most that a record holds: RFC 8446, 5.1 */

struct tls_context {
	SSL_CTX *ctx;
	char name[ADDR_HOST_MAX]; /* without the root's dot */
	bool is_ip;
};

struct tls_flow {
	size_t at, len; /* what is left of `data` */
	bool eof, done; /* the source has ended; that was passed on */
	uint8_t data[TLS_RECORD];
};

struct tls_link {
	struct tls_events events;
	SSL *ssl;
	uv_poll_t net, own;
	int net_fd, own_fd;
	int net_events, own_events;
	struct tls_flow down, up; /* towards the owner; towards the network */
	bool shaken, closing, forgotten;
	bool cut; /* the network's side: what came before is delivered, then a reset */
	unsigned handles;
};

/* --- the context --- */

struct tls_context *tls_context_free(struct tls_context *context)
{
	if (!context)
		return NULL;
	SSL_CTX_free(context->ctx);
	free(context);
	return NULL;
}

static void tls_context_freep(struct tls_context **context)
{
	(void)tls_context_free(*context);
}

static int tls_load_cas(SSL_CTX *ctx, const char *ca_file, char *ret_why)
{
	unsigned long error;

	ERR_clear_error();
	if (ca_file ? SSL_CTX_load_verify_file(ctx, ca_file) == 1
		    : SSL_CTX_set_default_verify_paths(ctx) == 1)
		return 0;
	error = ERR_peek_error();
	(void)snprintf(ret_why, TLS_WHY_MAX, "%s",
		ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
					: ERR_reason_error_string(error));
	ERR_clear_error();
	return -EINVAL;
}

static int tls_context_build(
	struct tls_context *c, const char *name, const char *ca_file, char *ret_why)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	struct addr addr;
	size_t len;

	c->is_ip = addr_parse_ip(name, 0, &addr) == 0;
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	len = strlen(c->name);
	if (len && c->name[len - 1] == '.')
		c->name[len - 1] = '\0';
	c->ctx = SSL_CTX_new(TLS_client_method());
	if (!c->ctx || SSL_CTX_set_alpn_protos(c->ctx, alpn, sizeof(alpn) - 1) != 0)
		return -ENOMEM;
	(void)SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					       SSL_MODE_RELEASE_BUFFERS);
	/* What is no data (new tickets, new keys) is read one by one, so that a peer who sends
	 * nothing else gets no more of a turn than others. */
	(void)SSL_CTX_clear_mode(c->ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	return tls_load_cas(c->ctx, ca_file, ret_why);
}

int tls_context_new(const char *name, const char *ca_file, struct tls_context **ret_context,
	char ret_why[TLS_WHY_MAX])
{
	_cleanup_(tls_context_freep) struct tls_context *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = tls_context_build(c, name, ca_file, ret_why);
	if (r == 0)
		*ret_context = take_ptr(c);
	return r;
}

/* --- why a handshake has failed --- */

/* The names that a certificate is for, of DNS and of IP, cut where there is no more room. */
static void tls_cert_names(X509 *cert, char *text, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t len = 0;

	text[0] = '\0';
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && len < size; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const char *before = len ? ", " : "";
		const unsigned char *data;
		char shown[ADDR_HOST_MAX];
		int n;

		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		data = ASN1_STRING_get0_data(name->d.ia5);
		n = ASN1_STRING_length(name->d.ia5);
		/* Nothing but 4 and 16 bytes is an address, and OpenSSL hands out what there is. */
		if (name->type == GEN_DNS)
			log_escape(shown, sizeof(shown), (const char *)data, (size_t)n);
		else if ((n != 4 && n != 16) ||
			 !inet_ntop(n == 4 ? AF_INET : AF_INET6, data, shown, sizeof(shown)))
			continue;
		len += (size_t)snprintf(text + len, size - len, "%s%s", before, shown);
	}
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
}

static const char tls_remedy_ca[] =
	"if that is meant so, name the file with the CA's certificate by --%tls-ca";

static const struct {
	long error;
	const char *cause, *remedy;
} tls_cert_words[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, "its certificate has expired",
		"have it renewed there, or is this machine's clock wrong?" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "its certificate is not valid yet",
		"is this machine's clock wrong?" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "its certificate is signed by nobody but itself",
		tls_remedy_ca },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
		"its certificate is signed by a CA that is not trusted here", tls_remedy_ca },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
		"its certificate is signed by a CA that is not trusted here, or it leaves out the "
		"certificates in between",
		tls_remedy_ca },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
		"its certificate is signed by a CA that is not trusted here, or it leaves out the "
		"certificates in between",
		tls_remedy_ca },
};

static void tls_explain_cert(const struct tls_link *l, long error, char why[TLS_WHY_MAX])
{
	/* That of a peer who was refused is in no session, but in the chain. */
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(l->ssl);
	char names[160];

	if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
		names[0] = '\0';
		if (chain && sk_X509_num(chain) > 0)
			tls_cert_names(sk_X509_value(chain, 0), names, sizeof(names));
		(void)snprintf(why, TLS_WHY_MAX,
			"its certificate is for another name (%s); write one that it is for, or "
			"have one made for this",
			names[0] ? names : "it has none");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(tls_cert_words); i++) {
		if (tls_cert_words[i].error == error) {
			(void)snprintf(why, TLS_WHY_MAX, "%s; %s", tls_cert_words[i].cause,
				tls_cert_words[i].remedy);
			return;
		}
	}
	(void)snprintf(why, TLS_WHY_MAX, "its certificate is refused: %s; have it mended there",
		X509_verify_cert_error_string(error));
}

static void tls_explain(const struct tls_link *l, int ssl_error, char why[TLS_WHY_MAX])
{
	long verified = SSL_get_verify_result(l->ssl);
	unsigned long error = ERR_peek_error();
	int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
		tls_explain_cert(l, verified, why);
	else if (ssl_error == SSL_ERROR_SYSCALL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		(void)snprintf(why, TLS_WHY_MAX,
			"it closed the connection during the TLS handshake; is that a port of "
			"HTTPS?");
	else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_UNSUPPORTED_PROTOCOL ||
		 reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION || reason == SSL_R_HTTP_REQUEST ||
		 reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_UNEXPECTED_MESSAGE)
		(void)snprintf(why, TLS_WHY_MAX,
			"it does not speak TLS, or none from 1.2 on; write http:// if it has none, "
			"or the port that has");
	else
		(void)snprintf(why, TLS_WHY_MAX,
			"the TLS handshake has failed (%s); what does its log say?",
			error ? ERR_reason_error_string(error) : "no reason is told");
}

/* --- the end --- */

static void link_on_closed(uv_handle_t *handle)
{
	struct tls_link *l = handle->data;

	if (--l->handles)
		return;
	SSL_free(l->ssl);
	if (l->events.closed)
		l->events.closed(l->events.owner);
	free(l);
}

static void link_close(struct tls_link *l, bool reset)
{
	if (l->closing)
		return;
	l->closing = true;
	uv_close((uv_handle_t *)&l->net, link_on_closed);
	uv_close((uv_handle_t *)&l->own, link_on_closed);
	if (reset) {
		sockopt_set_reset(l->net_fd);
		sockopt_set_reset(l->own_fd);
	}
	l->net_fd = fd_close(l->net_fd);
	l->own_fd = fd_close(l->own_fd);
}

static void link_fail(struct tls_link *l, int ssl_error)
{
	char why[TLS_WHY_MAX];

	if (!l->forgotten) {
		tls_explain(l, ssl_error, why);
		l->forgotten = true;
		l->events.failed(l->events.owner, why);
	}
	link_close(l, true);
}

/* --- moving --- */

/* Which event an unfinished call of OpenSSL waits for; 0: it has failed. */
static int link_wants(const struct tls_link *l, int r)
{
	switch (SSL_get_error(l->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return UV_READABLE;
	case SSL_ERROR_WANT_WRITE:
		return UV_WRITABLE;
	default:
		return 0;
	}
}

/*
 * Whether the network's side has ended, and wasn't cut. Behind our own end nginx closes without a
 * close_notify of its own: all that the owner had to say was said by then, and taken.
 */
static bool link_has_ended(const struct tls_link *l, int r)
{
	return SSL_get_error(l->ssl, r) == SSL_ERROR_ZERO_RETURN ||
	       (l->up.done &&
		       ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
}

/* Each of these returns whether it has done anything; what it waits for is added to *wanted. */

static bool link_read_net(struct tls_link *l, int *wanted)
{
	int r, events;

	if (l->down.len || l->down.eof)
		return false;
	ERR_clear_error();
	r = SSL_read(l->ssl, l->down.data, sizeof(l->down.data));
	if (r > 0) {
		l->down.at = 0;
		l->down.len = (size_t)r;
		return true;
	}
	events = link_wants(l, r);
	*wanted |= events;
	if (events)
		return false;
	l->down.eof = true;
	l->cut = !link_has_ended(l, r);
	return true;
}

static bool link_write_own(struct tls_link *l, int *wanted)
{
	struct tls_flow *f = &l->down;
	ssize_t n;

	if (f->len) {
		n = send(l->own_fd, f->data + f->at, f->len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			*wanted |= UV_WRITABLE;
		else if (n < 0)
			link_close(l, true);
		if (n <= 0)
			return false;
		f->at += (size_t)n;
		f->len -= (size_t)n;
		return true;
	}
	if (!f->eof || f->done)
		return false;
	if (l->cut) {
		link_close(l, true);
		return false;
	}
	(void)shutdown(l->own_fd, SHUT_WR);
	f->done = true;
	return true;
}

static bool link_read_own(struct tls_link *l, int *wanted)
{
	struct tls_flow *f = &l->up;
	ssize_t n;

	if (f->len || f->eof)
		return false;
	n = recv(l->own_fd, f->data, sizeof(f->data), 0);
	if (n < 0 && errno == EAGAIN) {
		*wanted |= UV_READABLE;
		return false;
	}
	if (n < 0) {
		link_close(l, true);
		return false;
	}
	f->at = 0;
	f->len = (size_t)n;
	f->eof = n == 0;
	return true;
}

static bool link_write_net(struct tls_link *l, int *wanted)
{
	struct tls_flow *f = &l->up;
	int r, events;

	if (f->done || (!f->len && !f->eof))
		return false;
	ERR_clear_error();
	/* SSL_shutdown() says 0 where its own alert was sent: the peer's is read elsewhere. */
	r = f->len ? SSL_write(l->ssl, f->data + f->at, (int)f->len) : SSL_shutdown(l->ssl);
	if (r > 0 && f->len) {
		f->at += (size_t)r;
		f->len -= (size_t)r;
		return true;
	}
	if (r >= 0 && !f->len) {
		(void)shutdown(l->net_fd, SHUT_WR);
		f->done = true;
		return true;
	}
	events = link_wants(l, r);
	*wanted |= events;
	if (!events)
		link_close(l, true);
	return false;
}

/* False: it isn't shaken yet, or the link is closed. */
static bool link_shake(struct tls_link *l, int *wanted)
{
	int r, events;

	if (l->shaken)
		return true;
	ERR_clear_error();
	r = SSL_do_handshake(l->ssl);
	if (r == 1) {
		l->shaken = true;
		return true;
	}
	events = link_wants(l, r);
	*wanted |= events;
	if (!events)
		link_fail(l, SSL_get_error(l->ssl, r));
	return false;
}

static void link_on_event(uv_poll_t *poll, int status, int events);

/* UV_PRIORITIZED alone: nothing is wanted but to hear of a reset. */
static void link_poll(uv_poll_t *poll, int *now, int wanted)
{
	if (*now == wanted)
		return;
	*now = wanted;
	if (wanted)
		(void)uv_poll_start(poll, wanted, link_on_event);
	else
		(void)uv_poll_stop(poll);
}

static void link_run(struct tls_link *l)
{
	int net = 0, own = 0;
	size_t moved = 0;
	bool more = link_shake(l, &net);

	while (more && !l->closing && moved < TLS_MOVED_MAX) {
		net = own = 0;
		more = link_read_net(l, &net);
		more |= !l->closing && link_write_own(l, &own);
		more |= !l->closing && link_read_own(l, &own);
		more |= !l->closing && link_write_net(l, &net);
		moved += TLS_RECORD / 2;
	}
	if (!l->closing && l->down.done && l->up.done)
		link_close(l, false);
	if (l->closing)
		return;
	/*
	 * More can be done, but not in this turn: what a level-triggered poll tells at once. Bytes
	 * that OpenSSL has read already are in nobody's socket, so it is a writable one that
	 * brings us back; where neither is, there is nowhere to move them.
	 */
	if (more) {
		net |= UV_WRITABLE;
		own |= UV_WRITABLE;
	}
	/*
	 * The owner's reset is heard of even where nothing is to be read from it. Not so the
	 * network's, whose urgent bytes could keep us awake; nor once both have said their FIN,
	 * which poll(2) tells of as long as it is asked (EPOLLHUP).
	 */
	if (!l->down.done)
		own |= UV_PRIORITIZED;
	link_poll(&l->net, &l->net_events, net);
	link_poll(&l->own, &l->own_events, own);
}

static void link_on_event(uv_poll_t *poll, int status, int events)
{
	struct tls_link *l = poll->data;

	(void)events;
	/* libuv has stopped the handle; the socket's own calls say what is the matter. */
	if (status < 0)
		*(poll == &l->net ? &l->net_events : &l->own_events) = 0;
	if (status < 0 && poll == &l->own)
		link_close(l, true);
	else
		link_run(l);
}

/* --- public --- */

static SSL *tls_new_session(const struct tls_context *context, int fd)
{
	SSL *ssl = SSL_new(context->ctx);

	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		goto fail;
	SSL_set_connect_state(ssl);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* SNI is for names (RFC 6066, 3). */
	if (context->is_ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), context->name) != 1
			   : SSL_set1_host(ssl, context->name) != 1 ||
				     SSL_set_tlsext_host_name(ssl, context->name) != 1)
		goto fail;
	return ssl;
fail:
	SSL_free(ssl);
	return NULL;
}

int tls_link_open(struct tls_context *context, uv_loop_t *loop, int fd,
	const struct tls_events *events, struct tls_link **ret_link, int *ret_fd)
{
	struct tls_link *l = calloc(1, sizeof(*l));
	int pair[2], r;

	if (!l)
		return -ENOMEM;
	l->ssl = tls_new_session(context, fd);
	r = l->ssl ? stream_pair_open(pair) : -ENOMEM;
	if (r < 0)
		goto fail;
	sockopt_set_stream(pair[0], false);
	/* Keepalive tells an owner that has closed all from one that has nothing to say. */
	sockopt_set_stream(pair[1], true);
	r = uv_poll_init(loop, &l->net, fd);
	if (r < 0)
		goto fail_pair;
	l->net.data = l->own.data = l;
	l->handles = 1;
	r = uv_poll_init(loop, &l->own, pair[1]);
	if (r < 0) {
		(void)fd_close(pair[0]);
		(void)fd_close(pair[1]);
		/* The memory goes with the handle that is there; nobody waits for it. */
		uv_close((uv_handle_t *)&l->net, link_on_closed);
		return r;
	}
	l->events = *events;
	l->handles = 2;
	l->net_fd = fd;
	l->own_fd = pair[1];
	/* The first step as an event, so that no failure comes from within. */
	link_poll(&l->net, &l->net_events, UV_WRITABLE);
	*ret_link = l;
	*ret_fd = pair[0];
	return 0;
fail_pair:
	(void)fd_close(pair[0]);
	(void)fd_close(pair[1]);
fail:
	SSL_free(l->ssl);
	free(l);
	return r;
}

void tls_link_forget(struct tls_link *link)
{
	link->forgotten = true;
}

void tls_link_abort(struct tls_link *link)
{
	link->forgotten = true;
	link_close(link, true);
}
