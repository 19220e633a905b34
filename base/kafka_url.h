/*
 * kafka_url.h - kafka://[user:password@]host:port,host:port/topic?lanes=8, parts percent-decoded; kafkas:// is the same by TLS.
 *
 * Behind ?: lanes=1 to 64, replicas=1 to 9 (of a topic that has to be made); with a user sasl=plain, scram-sha-256 or
 * scram-sha-512; with TLS ca=FILE (else the system's authorities), verify=none, cert=FILE and key=FILE.
 */
#ifndef SUIMON_KAFKA_URL_H
#define SUIMON_KAFKA_URL_H

#include <stdbool.h>

#include "rc.h"
#include "secret.h"

#define KAFKA_LANES_MAX 64u
#define KAFKA_BROKERS_MAX 16u

struct kafka_url {
	char *brokers;           /* owned; host:port joined by commas */
	char *topic;             /* owned; letters, digits, - _ and . */
	char *user;              /* owned; NULL: no SASL */
	struct secret *password; /* owned */
	const char *sasl;        /* SASL's name of the mechanism */
	char *ca, *cert, *key;   /* owned; NULL: none */
	unsigned lanes;
	unsigned replicas;       /* 0: as many as there are brokers, up to three */
	bool tls, verify;
};

/* NULL, or what is wrong and what is allowed, a literal that says nothing of the password; out is empty then. */
const char *kafka_url_parse(const char *url, struct kafka_url *out) must_check;
void kafka_url_reset(struct kafka_url *u);

#endif
