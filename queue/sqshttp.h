/*
 * sqshttp.h - requests over HTTP(S) by libcurl, many at a time, all by one thread; each with a limit of time and of bytes.
 *
 * Certificates are verified, and no redirection is followed: what is signed for one host is sent to no other.
 */
#ifndef SUIMON_SQSHTTP_H
#define SUIMON_SQSHTTP_H

#include <curl/curl.h>
#include <stdbool.h>

#include "iobuf.h"
#include "rc.h"
#include "span.h"

struct sqshttp_call;
typedef void (*sqshttp_done_fn)(void *arg, struct sqshttp_call *c);

struct sqshttp {
	CURLM *multi;   /* owned */
	const char *ca; /* a file; not owned; NULL: the system's */
};

/* One request at a time, again and again. */
struct sqshttp_call {
	struct sqshttp *http;
	CURL *easy;   /* owned */
	struct curl_slist *headers; /* owned, until the request has ended */
	struct iobuf body;  /* the caller's to fill; kept until the next one */
	struct iobuf reply; /* bounded */
	sqshttp_done_fn done;
	void *arg;
	bool busy;

	/* What came of it, for done. */
	long status; /* 0: no answer */
	bool sent;   /* of a request without an answer: it may have arrived */
	char error[200];
};

struct sqshttp_how {
	const char *method; /* NULL: POST */
	const char *url;
	long seconds; /* for all of it */
	bool direct;  /* by no proxy: an address of this host's own */
};

enum rc sqshttp_open(struct sqshttp *h) must_check; /* RC_ERROR: no memory */
void sqshttp_close(struct sqshttp *h);              /* after its calls; tolerant of one that was not opened */
/* Waits for answers, at most so long, and tells of them. */
void sqshttp_turn(struct sqshttp *h, int wait_ms);
void sqshttp_wake(struct sqshttp *h); /* any thread */

enum rc sqshttp_call_open(struct sqshttp *h, struct sqshttp_call *c, size_t reply_most, sqshttp_done_fn done, void *arg) must_check;
void sqshttp_call_close(struct sqshttp_call *c);
/* name: value, of the next request. RC_ERROR: no memory, or a byte that no header has. */
enum rc sqshttp_header(struct sqshttp_call *c, const char *name, struct span value) must_check;
void sqshttp_forget(struct sqshttp_call *c); /* the headers: there will be no request */
/* done is called by sqshttp_turn, unless RC_ERROR: no memory, or no URL. */
enum rc sqshttp_begin(struct sqshttp_call *c, const struct sqshttp_how *how) must_check;

static inline struct span sqshttp_reply(const struct sqshttp_call *c)
{
	return span_of(iobuf_data(&c->reply), iobuf_len(&c->reply));
}

#endif
