/*
 * sqs_url.h - where a FIFO queue of SQS is, or several that are one queue of suimon's:
 *
 *   https://sqs.REGION.amazonaws.com/ACCOUNT/NAME.fifo                       one lane
 *   https://sqs.REGION.amazonaws.com/ACCOUNT/NAME-{lane}.fifo?lanes=8        eight, a queue of SQS each: NAME-0.fifo …
 *   http://127.0.0.1:4566/000000000000/NAME.fifo?region=us-east-1            whatever speaks as SQS does
 *
 * Behind ?: lanes=1 to 64, region=NAME (else the host's, else AWS_REGION's), ca=FILE (else the system's authorities).
 */
#ifndef SUIMON_SQS_URL_H
#define SUIMON_SQS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "rc.h"

#define SQS_URL_MAX 512
#define SQS_URL_LANES_MAX 64u

struct sqs_url {
	char text[SQS_URL_MAX];     /* without options; {lane} as it is */
	char endpoint[SQS_URL_MAX]; /* https://host/ */
	char host[256];             /* as in the Host header */
	char region[64];
	char ca[256];                 /* a file; "": the system's */
	char name[SQS_URL_MAX + 64];  /* region and path: the same queue, whatever the address */
	unsigned lanes;
	bool tls;
};

/* NULL, or what is wrong and what is allowed, a literal. */
const char *sqs_url_parse(const char *url, struct sqs_url *out) must_check;
/* A lane's queue. */
void sqs_url_lane(const struct sqs_url *u, unsigned lane, char out[SQS_URL_MAX]);

#endif
