/*
 * sqshub.h - the SQS engine as a whole: what its URL says, and the thread that speaks to SQS for all its lanes.
 */
#ifndef SUIMON_SQSHUB_H
#define SUIMON_SQSHUB_H

#include <pthread.h>

#include "engine.h"
#include "sqs_url.h"
#include "sqscred.h"

struct sqslog;

struct sqshub {
	struct queue_hub hub;
	struct sqs_url url;
	struct sqshttp http;
	struct sqscred cred;
	struct sqslog *lane[SQS_URL_LANES_MAX]; /* not owned */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	bool running, ending;
};

/* Signs and sends what stands in the call's body. The hub's thread. RC_ERROR: not just now. */
enum rc sqshub_ask(struct sqshub *h, struct sqshttp_call *c, const char *action, long seconds) must_check;
bool sqshub_running(struct sqshub *h); /* any thread */
extern const struct queue_hub_ops sqshub_ops;

#endif
