/*
 * sqscred.h - whom the SQS engine speaks as: from the environment, else from the container's endpoint (ECS, EKS Pod Identity),
 * else from the instance's metadata service (IMDSv2). Those that end are fetched anew five minutes before. One thread's.
 *
 *   environment → done
 *   container:  GET AWS_CONTAINER_CREDENTIALS_…  → keys
 *   instance:   PUT token → GET role → GET keys
 */
#ifndef SUIMON_SQSCRED_H
#define SUIMON_SQSCRED_H

#include "backoff.h"
#include "secret.h"
#include "sqshttp.h"

enum sqscred_source { SQSCRED_NONE, SQSCRED_ENVIRONMENT, SQSCRED_CONTAINER, SQSCRED_INSTANCE };
enum sqscred_step { SQSCRED_IDLE, SQSCRED_ASK_CONTAINER, SQSCRED_ASK_TOKEN, SQSCRED_ASK_ROLE, SQSCRED_ASK_KEYS };

struct sqscred {
	struct sqshttp_call call;
	enum sqscred_source source;
	enum sqscred_step step;
	char url[512];        /* the container's, or the metadata service's without a path */
	struct secret *token; /* owned; of the metadata service's session */
	char role[160];
	struct secret *key_id, *secret, *session; /* owned; session: NULL if there is none */
	uint64_t until_ns; /* they are good until then; 0: until they are refused */
	uint64_t ask_ns;   /* not asked before */
	struct backoff backoff;
	bool told;  /* that there are none: once */
	bool again; /* those there are were refused */
};

/* Reads the environment. RC_ERROR: err says what in it is wrong. sqscred_close is due all the same. */
enum rc sqscred_open(struct sqscred *c, struct sqshttp *http, char *err, size_t cap) must_check;
void sqscred_close(struct sqscred *c);
void sqscred_turn(struct sqscred *c); /* asks if it is time to */
bool sqscred_ready(const struct sqscred *c);
void sqscred_refused(struct sqscred *c); /* by those they were shown to */

#endif
