/*
 * tls_context.c - certificates, keys and authorities from files.
 *
 * Files are read here and given to OpenSSL as memory: nothing but a regular file of a sane size is opened, and no
 * passphrase is ever asked for on a terminal. The private key lies in OpenSSL's secure heap, which core dumps leave out.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "mem.h"
#include "secret.h"
#include "tls_impl.h"

#define FILE_MOST ((off_t)1024 * 1024)
#define SECURE_HEAP (256 * 1024) /* a power of two; a key of 4096 bits takes about 5 KiB */
#define SECURE_LEAST 32

static enum rc fail(struct tls_fault *f, enum tls_part part, const char *text)
{
	f->part = part;
	(void)snprintf(f->text, sizeof(f->text), "%s", text);
	ERR_clear_error();
	return RC_ERROR;
}

/* OpenSSL's own words behind ours. */
static enum rc fail_ssl(struct tls_fault *f, enum tls_part part, const char *text)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	char whole[sizeof(f->text)];

	(void)snprintf(whole, sizeof(whole), "%s (%s)", text, reason ? reason : "no reason given");
	return fail(f, part, whole);
}

/* ---- memory ---- */

static void *plain_alloc(size_t n, const char *file, int line)
{
	void *p = malloc(n);

	if (!p)
		mem_failed();
	return p;
}

static void wiping_free(void *p, const char *file, int line)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *p, size_t n, const char *file, int line)
{
	size_t had = p ? malloc_usable_size(p) : 0;
	void *q;

	if (n == 0) {
		wiping_free(p, file, line);
		return NULL;
	}
	if (p && n <= had)
		return p;
	q = plain_alloc(n, file, line);
	if (!q)
		return NULL;
	if (p)
		memcpy(q, p, had);
	wiping_free(p, file, line);
	return q;
}

void tls_begin(void)
{
	(void)CRYPTO_set_mem_functions(plain_alloc, wiping_realloc, wiping_free); /* fails when it is too late: no harm */
}

/* ---- files ---- */

static enum rc read_all(int fd, char *p, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, p + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n ? errno : EIO;
			return RC_ERROR;
		}
		got += (size_t)n;
	}
	return RC_OK;
}

/* O_NONBLOCK: a pipe without a writer must not hang whoever checks a configuration. */
static BIO *open_pem(const char *path, enum tls_part part, struct tls_fault *f, struct secret **text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *p = NULL;
	BIO *bio = NULL;

	*text = NULL;
	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)fail(f, part, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > FILE_MOST) {
		(void)fail(f, part, "not a file of 1 byte to 1 MiB");
	} else if (!(p = mem_alloc((size_t)st.st_size))) {
		(void)fail(f, part, "out of memory");
	} else if (read_all(fd, p, (size_t)st.st_size) != RC_OK) {
		(void)fail(f, part, strerror(errno));
	} else {
		*text = secret_new(span_of(p, (size_t)st.st_size));
		bio = *text ? BIO_new_mem_buf(secret_text(*text).p, (int)st.st_size) : NULL;
		if (!bio)
			(void)fail(f, part, "out of memory");
	}
	if (p)
		secret_wipe(p, (size_t)st.st_size);
	mem_free(p);
	if (fd >= 0)
		close(fd);
	if (!bio) {
		secret_unref(*text);
		*text = NULL;
	}
	return bio;
}

static void close_pem(BIO *bio, struct secret *text)
{
	BIO_free(bio);
	secret_unref(text);
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

/* ---- the parts ---- */

static enum rc add_chain(SSL_CTX *ctx, BIO *bio, struct tls_fault *f)
{
	X509 *x;

	while ((x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)))
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			return fail_ssl(f, TLS_CERT, "its chain cannot be used");
		}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return fail_ssl(f, TLS_CERT, "its chain cannot be read");
	ERR_clear_error();
	return RC_OK;
}

static enum rc use_cert(SSL_CTX *ctx, const char *path, struct tls_fault *f)
{
	struct secret *text;
	BIO *bio = open_pem(path, TLS_CERT, f, &text);
	X509 *x;
	enum rc rc;

	if (!bio)
		return RC_ERROR;
	x = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
	if (!x)
		rc = fail_ssl(f, TLS_CERT, "not a certificate in PEM");
	else if (SSL_CTX_use_certificate(ctx, x) != 1)
		rc = fail_ssl(f, TLS_CERT, "a certificate that cannot be used");
	else
		rc = add_chain(ctx, bio, f);
	X509_free(x);
	close_pem(bio, text);
	return rc;
}

static enum rc use_key(SSL_CTX *ctx, const char *path, struct tls_fault *f)
{
	struct secret *text;
	BIO *bio = open_pem(path, TLS_KEY, f, &text);
	X509 *cert = SSL_CTX_get0_certificate(ctx);
	EVP_PKEY *key;
	enum rc rc = RC_OK;

	if (!bio)
		return RC_ERROR;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (!key)
		rc = fail_ssl(f, TLS_KEY, "not a private key in PEM without a passphrase");
	else if (X509_check_private_key(cert, key) != 1)
		rc = fail(f, TLS_KEY, "does not belong to the certificate");
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		rc = fail_ssl(f, TLS_KEY, "a key that cannot be used");
	EVP_PKEY_free(key);
	close_pem(bio, text);
	return rc;
}

/* Whom to trust; listed: their names are told to clients, which choose a certificate by them. */
static enum rc use_ca(SSL_CTX *ctx, const char *path, bool listed, struct tls_fault *f)
{
	struct secret *text;
	BIO *bio = open_pem(path, TLS_CA, f, &text);
	size_t n = 0;
	enum rc rc = RC_OK;
	X509 *x;

	if (!bio)
		return RC_ERROR;
	while (rc == RC_OK && (x = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL))) {
		if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) != 1 ||
		    (listed && SSL_CTX_add_client_CA(ctx, x) != 1))
			rc = fail_ssl(f, TLS_CA, "a certificate in it cannot be used");
		X509_free(x);
		n++;
	}
	if (rc == RC_OK && n == 0)
		rc = fail_ssl(f, TLS_CA, "no certificate in PEM");
	else if (rc == RC_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		rc = fail_ssl(f, TLS_CA, "a certificate in it cannot be read");
	ERR_clear_error();
	close_pem(bio, text);
	return rc;
}

/* ---- contexts ---- */

static void secure_heap(void)
{
	(void)CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_LEAST); /* best effort: keys work without it */
}

static struct tls_context *context_new(const SSL_METHOD *method, struct tls_fault *f, enum tls_part part)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_context *c = mem_zalloc(sizeof(*c));

	pthread_once(&once, secure_heap);
	if (c)
		c->ssl = SSL_CTX_new(method);
	if (!c || !c->ssl || SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1) {
		(void)fail_ssl(f, part, "TLS cannot be set up");
		if (c)
			SSL_CTX_free(c->ssl);
		mem_free(c);
		return NULL;
	}
	c->refs = 1;
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
					    SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* Idle connections hold no buffers; what is written again after EAGAIN may lie elsewhere. */
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(c->ssl, 1);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	return c;
}

struct tls_context *tls_server_new(const char *cert, const char *key, const char *ca, struct tls_fault *f)
{
	struct tls_context *c = context_new(TLS_server_method(), f, TLS_CERT);

	if (!c)
		return NULL;
	c->accepts = true;
	SSL_CTX_set_num_tickets(c->ssl, 0);
	if (use_cert(c->ssl, cert, f) != RC_OK || use_key(c->ssl, key, f) != RC_OK ||
	    (*ca && use_ca(c->ssl, ca, true, f) != RC_OK)) {
		tls_unref(c);
		return NULL;
	}
	if (*ca)
		SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return c;
}

struct tls_context *tls_client_new(enum tls_mode mode, const char *ca, struct tls_fault *f)
{
	struct tls_context *c = context_new(TLS_client_method(), f, TLS_CA);

	if (!c)
		return NULL;
	c->identity = mode == TLS_VERIFY_IDENTITY;
	if (*ca && use_ca(c->ssl, ca, false, f) != RC_OK) {
		tls_unref(c);
		return NULL;
	}
	if (!*ca && mode >= TLS_VERIFY_CA && SSL_CTX_set_default_verify_paths(c->ssl) != 1) {
		(void)fail_ssl(f, TLS_CA, "the system's authorities cannot be read");
		tls_unref(c);
		return NULL;
	}
	SSL_CTX_set_verify(c->ssl, mode >= TLS_VERIFY_CA ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return c;
}

enum rc tls_not_after(const struct tls_context *c, uint64_t *seconds)
{
	X509 *cert = SSL_CTX_get0_certificate(c->ssl);
	struct tm tm;
	time_t at;

	if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return RC_DECLINED;
	at = timegm(&tm);
	*seconds = at > 0 ? (uint64_t)at : 0;
	return RC_OK;
}

struct tls_context *tls_ref(struct tls_context *c)
{
	if (c)
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void tls_unref(struct tls_context *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	SSL_CTX_free(c->ssl);
	mem_free(c);
}
