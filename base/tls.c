#include "tls_impl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "iobuf.h"
#include "mem.h"
#include "secret.h"

#define RECORD 16384 /* most plaintext a record holds */

struct tls {
	SSL *ssl; /* owned */
	int fd;   /* not owned */
	const char *also;   /* not owned; the other name or address that a certificate may be made for */
	struct iobuf early; /* read before there was TLS; comes first */
	bool emptied;       /* the last read of the socket was short: it is empty until it announces itself again */
	bool more;          /* the last tls_read filled its buffer */
	bool eof, broken, established;
	unsigned long error; /* OpenSSL's first, of what broke it */
	int error_errno;
};

/* ---- the socket under OpenSSL ---- */

static int socket_read(BIO *bio, char *p, int len)
{
	struct tls *t = BIO_get_data(bio);
	size_t kept = iobuf_len(&t->early);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (kept) {
		if (kept > (size_t)len)
			kept = (size_t)len;
		memcpy(p, iobuf_data(&t->early), kept);
		iobuf_consume(&t->early, kept);
		return (int)kept;
	}
	if (t->emptied) {
		BIO_set_retry_read(bio);
		return -1;
	}
	do
		n = recv(t->fd, p, (size_t)len, 0);
	while (n < 0 && errno == EINTR);
	t->emptied = n < len;
	t->eof |= n == 0;
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	return (int)n;
}

static int socket_write(BIO *bio, const char *p, int len)
{
	const struct tls *t = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = send(t->fd, p, (size_t)len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	return (int)n;
}

static long socket_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	const struct tls *t = BIO_get_data(bio);

	if (cmd == BIO_CTRL_EOF)
		return t && t->eof;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_method;

static void make_method(void)
{
	socket_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "suimon socket");
	if (socket_method && (!BIO_meth_set_read(socket_method, socket_read) ||
			      !BIO_meth_set_write(socket_method, socket_write) ||
			      !BIO_meth_set_ctrl(socket_method, socket_ctrl))) {
		BIO_meth_free(socket_method);
		socket_method = NULL;
	}
}

/* ---- life ---- */

static enum rc attach(struct tls *t)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_method);
	bio = socket_method ? BIO_new(socket_method) : NULL;
	if (!bio)
		return RC_ERROR;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	return RC_OK;
}

static bool is_address(const char *host)
{
	struct in6_addr a;

	return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

static enum rc expect_host(struct tls *t, const char *host, bool identity)
{
	bool is_ip = is_address(host);
	char name[256]; /* the macro below takes the const away, which clang minds */

	if (!is_ip && (snprintf(name, sizeof(name), "%s", host) >= (int)sizeof(name) ||
		       SSL_set_tlsext_host_name(t->ssl, name) != 1))
		return RC_ERROR;
	if (!identity)
		return RC_OK;
	if (is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), host) == 1 ? RC_OK : RC_ERROR;
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(t->ssl, host) == 1 ? RC_OK : RC_ERROR;
}

struct tls *tls_open(struct tls_context *c, int fd, const char *host)
{
	struct tls *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->fd = fd;
	iobuf_init(&t->early, 0);
	t->ssl = SSL_new(c->ssl);
	if (!t->ssl || attach(t) != RC_OK || (host && expect_host(t, host, c->identity) != RC_OK)) {
		ERR_clear_error();
		tls_free(t);
		return NULL;
	}
	if (c->accepts)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return t;
}

static bool made_for(X509 *cert, const char *host)
{
	if (is_address(host))
		return X509_check_ip_asc(cert, host, 0) == 1;
	return X509_check_host(cert, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* OpenSSL compares an address or names, never both: where the one it was given is not the certificate's, is the other? */
static int on_verified(int good, X509_STORE_CTX *x)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct tls *t = BIO_get_data(SSL_get_rbio(ssl));
	int why = X509_STORE_CTX_get_error(x);

	if (good || (why != X509_V_ERR_HOSTNAME_MISMATCH && why != X509_V_ERR_IP_ADDRESS_MISMATCH) ||
	    !made_for(X509_STORE_CTX_get0_cert(x), t->also))
		return good;
	X509_STORE_CTX_set_error(x, X509_V_OK);
	return 1;
}

void tls_also(struct tls *t, const char *host)
{
	t->also = host;
	SSL_set_verify(t->ssl, SSL_get_verify_mode(t->ssl), on_verified);
}

enum rc tls_early(struct tls *t, struct span bytes)
{
	return iobuf_append(&t->early, bytes.p, bytes.len);
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	iobuf_reset(&t->early);
	mem_free(t);
}

/* ---- errors ---- */

static void note(struct tls *t)
{
	if (!t->broken) {
		t->error = ERR_peek_error();
		t->error_errno = errno;
	}
	t->broken = true;
	ERR_clear_error();
}

bool tls_cut(const struct tls *t)
{
	return t->broken && SSL_get_verify_result(t->ssl) == X509_V_OK && (t->eof || t->error == 0);
}

void tls_why(const struct tls *t, char *out, size_t cap)
{
	long verified = SSL_get_verify_result(t->ssl);
	const char *reason = t->error ? ERR_reason_error_string(t->error) : NULL;

	if (verified != X509_V_OK && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE)
		(void)snprintf(out, cap, "the certificate is not accepted: %s", X509_verify_cert_error_string(verified));
	else if (reason && !t->eof)
		(void)snprintf(out, cap, "%s", reason);
	else if (t->eof || t->error_errno == 0)
		(void)snprintf(out, cap, "the connection was closed");
	else
		(void)snprintf(out, cap, "%s", strerror(t->error_errno));
}

/* ---- moving bytes ---- */

enum rc tls_handshake(struct tls *t, bool *wants_write)
{
	int rc;

	*wants_write = false;
	t->emptied = false;
	errno = 0;
	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1) {
		t->established = true;
		return RC_OK;
	}
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_WRITE:
		*wants_write = true;
		return RC_AGAIN;
	case SSL_ERROR_WANT_READ:
		return RC_AGAIN;
	default:
		note(t);
		return RC_ERROR;
	}
}

ssize_t tls_read(struct tls *t, void *p, size_t len)
{
	size_t got = 0, n;

	t->emptied = t->more = false;
	errno = 0;
	ERR_clear_error();
	while (got < len && !t->broken) {
		if (SSL_read_ex(t->ssl, (char *)p + got, len - got, &n) == 1) {
			got += n;
			continue;
		}
		switch (SSL_get_error(t->ssl, 0)) {
		case SSL_ERROR_WANT_READ:
			if (got)
				return (ssize_t)got;
			errno = EAGAIN;
			return -1;
		case SSL_ERROR_ZERO_RETURN:
			t->eof = true;
			/* fall through */
		default:
			/* WANT_WRITE too: an answer to a request for new keys does not leave, since the peer does not read. */
			note(t);
		}
	}
	t->more = true;
	if (got)
		return (ssize_t)got;
	errno = EPROTO;
	return t->eof ? 0 : -1;
}

bool tls_pending(const struct tls *t)
{
	return t->more;
}

/* The next bytes of iov as one piece: in place, or copied to room when they are scattered. Moves *at and *off on. */
static size_t next_piece(const struct iovec *iov, int n, int *at, size_t *off, uint8_t *room, const uint8_t **piece)
{
	size_t len = 0;

	while (*at < n && *off == iov[*at].iov_len) {
		(*at)++;
		*off = 0;
	}
	if (*at == n)
		return 0;
	if (*at == n - 1 || iov[*at].iov_len - *off >= RECORD) {
		*piece = (const uint8_t *)iov[*at].iov_base + *off;
		len = iov[*at].iov_len - *off;
		if (len > RECORD)
			len = RECORD;
		*off += len;
		return len;
	}
	*piece = room;
	while (*at < n && len < RECORD) {
		size_t part = iov[*at].iov_len - *off;

		if (part > RECORD - len)
			part = RECORD - len;
		memcpy(room + len, (const uint8_t *)iov[*at].iov_base + *off, part);
		len += part;
		*off += part;
		if (*off == iov[*at].iov_len) {
			(*at)++;
			*off = 0;
		}
	}
	return len;
}

/* A record that does not leave is kept by OpenSSL, encrypted; its bytes are not reported as sent and come again. */
ssize_t tls_writev(struct tls *t, const struct iovec *iov, int n)
{
	uint8_t room[RECORD];
	const uint8_t *piece;
	size_t sent = 0, copied = 0, off = 0, len, done;
	int at = 0;
	ssize_t result;

	if (!t->established || t->broken) {
		errno = t->broken ? EPIPE : EAGAIN;
		return -1;
	}
	errno = 0;
	ERR_clear_error();
	while ((len = next_piece(iov, n, &at, &off, room, &piece)) > 0) {
		if (piece == room && len > copied)
			copied = len;
		if (SSL_write_ex(t->ssl, piece, len, &done) != 1)
			break;
		sent += done;
	}
	result = (ssize_t)sent;
	if (len && SSL_get_error(t->ssl, 0) != SSL_ERROR_WANT_WRITE) {
		note(t);
		result = -1;
		errno = EPIPE;
	} else if (len && sent == 0) {
		result = -1;
		errno = EAGAIN;
	}
	secret_wipe(room, copied); /* it may have been a password */
	return result;
}

void tls_bye(struct tls *t)
{
	if (t->established && !t->broken)
		(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

void tls_hush(struct tls *t)
{
	t->broken = true;
}

const char *tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
	return SSL_get_cipher_name(t->ssl);
}
