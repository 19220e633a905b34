/*
 * tls.h - TLS 1.2 and later by OpenSSL, for sockets that do not block.
 *
 *   tls_server_new / tls_client_new: a context, made once from files, shared by all threads, never changed
 *   tls_open: one connection on a connected socket → tls_handshake until RC_OK → tls_read, tls_writev
 *
 * A read of the socket takes what is there in one call and decrypts all of it, and a short read means that the socket is
 * empty: a statement over TLS costs as many system calls as one without. Renegotiation, compression and resumption are off.
 */
#ifndef SUIMON_TLS_H
#define SUIMON_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "rc.h"
#include "span.h"

/* Before any other use of OpenSSL, once: what it frees is overwritten first, since passwords and keys are among it. */
void tls_begin(void);

/* How far a client insists: the words of backend.tls.mode. */
enum tls_mode {
	TLS_DISABLED,       /* never */
	TLS_PREFERRED,      /* if the server has it; whoever it is */
	TLS_REQUIRED,       /* always; whoever the server is */
	TLS_VERIFY_CA,      /* and its certificate comes from the CA */
	TLS_VERIFY_IDENTITY /* and was made for the name or address connected to */
};

/* The same for connections that a library makes: it reads ca itself. */
struct tls_policy {
	enum tls_mode mode;
	char ca[512]; /* a file, or "" */
};

enum tls_part { TLS_CERT, TLS_KEY, TLS_CA };
struct tls_fault {
	enum tls_part part; /* the file at fault */
	char text[256];     /* what is wrong with it */
};

struct tls_context; /* thread-safe reference count; contents immutable */

/* For the accepting side. cert and key are files (PEM, the certificate with its chain). ca: a file, or "": with it, peers
 * must show a certificate that it has signed. NULL: fault says why. */
struct tls_context *tls_server_new(const char *cert, const char *key, const char *ca,
				   struct tls_fault *fault) must_check;
/* For the connecting side. ca: a file, or "": the system's authorities. NULL: fault says why. */
struct tls_context *tls_client_new(enum tls_mode mode, const char *ca, struct tls_fault *fault) must_check;
/* When the certificate of the accepting side ends, in seconds since 1970. RC_DECLINED: there is none. */
enum rc tls_not_after(const struct tls_context *c, uint64_t *seconds) must_check;
struct tls_context *tls_ref(struct tls_context *c); /* NULL gives NULL */
void tls_unref(struct tls_context *c);              /* NULL is allowed */

struct tls;

/* fd stays the caller's. host: the name or address connected to, for TLS_VERIFY_IDENTITY and SNI; NULL where accepting.
 * NULL: out of memory. */
struct tls *tls_open(struct tls_context *c, int fd, const char *host) must_check;
/* Before the handshake: a certificate made for this name or address will do for TLS_VERIFY_IDENTITY, too. Kept; the caller's. */
void tls_also(struct tls *t, const char *host);
/* Before the handshake: bytes of the peer that were read already; copied. */
enum rc tls_early(struct tls *t, struct span bytes) must_check;
void tls_free(struct tls *t); /* NULL is allowed */

/* RC_AGAIN: call again when the socket is readable or, with *wants_write, writable. RC_ERROR: tls_why. */
enum rc tls_handshake(struct tls *t, bool *wants_write) must_check;
/* As recv and sendmsg: bytes moved, 0 at the end of input, -1 with errno (EAGAIN: later, with the same bytes). */
ssize_t tls_read(struct tls *t, void *p, size_t len);
ssize_t tls_writev(struct tls *t, const struct iovec *iov, int n);
/* There may be more to read that the socket does not announce: its bytes are here already. */
bool tls_pending(const struct tls *t);
/* Tells the peer that nothing more comes, if that can be said at once. */
void tls_bye(struct tls *t);
/* From now on nothing is said, tls_bye included: the end looks as if the process had died. */
void tls_hush(struct tls *t);
/* Why the handshake or the connection failed, for people. */
void tls_why(const struct tls *t, char *out, size_t cap);
bool tls_cut(const struct tls *t); /* the link was lost: the peer has said nothing that is wrong */
const char *tls_version(const struct tls *t); /* "TLSv1.3"; static */
const char *tls_cipher(const struct tls *t);

#endif
