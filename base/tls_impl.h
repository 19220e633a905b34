/*
 * tls_impl.h - what tls.c (connections) and tls_context.c share.
 */
#ifndef SUIMON_TLS_IMPL_H
#define SUIMON_TLS_IMPL_H

#include <openssl/ssl.h>

#include "tls.h"

struct tls_context {
	SSL_CTX *ssl; /* owned */
	bool accepts; /* the server's side */
	bool identity; /* the peer's name is compared */
	int refs;     /* atomic */
};

#endif
