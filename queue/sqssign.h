/*
 * sqssign.h - AWS Signature Version 4: what a request to AWS is signed with. Pure, but for the cryptography.
 *
 * Source: the "Signature Version 4 signing process" of the AWS General Reference, whose published examples the unit test has.
 */
#ifndef SUIMON_SQSSIGN_H
#define SUIMON_SQSSIGN_H

#include "iobuf.h"
#include "rc.h"
#include "span.h"

#define SQSSIGN_TIME_MAX 17 /* 20150830T123600Z and a NUL */

struct sqssign_header {
	struct span name; /* in lower case */
	struct span value;
};

struct sqssign_request {
	struct span method;
	struct span path;  /* encoded already */
	struct span query; /* canonical already: encoded, its parameters in order */
	const struct sqssign_header *headers; /* all that are to be signed, in the order of their names */
	unsigned nheaders;
	struct span body;
};

struct sqssign_scope {
	struct span region, service;
	struct span key_id, secret;
	const char *time; /* as in x-amz-date */
};

/* The time of a request, of the wall clock's microseconds. */
void sqssign_time(char out[SQSSIGN_TIME_MAX], uint64_t wall_us);
/* The value of Authorization, appended to out with no NUL behind it. RC_ERROR: no memory. */
enum rc sqssign_authorize(const struct sqssign_request *r, const struct sqssign_scope *s, struct iobuf *out) must_check;

#endif
