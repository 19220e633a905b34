/*
 * sqshttp.c - see sqshttp.h.
 */
#include "sqshttp.h"

#include <pthread.h>
#include <stdio.h>

#include "secret.h"

#define CONNECT_MS 3000L
#define AGENT "suimon/" SUIMON_VERSION

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode ready = CURLE_FAILED_INIT;

static void begin_curl(void)
{
	ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum rc sqshttp_open(struct sqshttp *h)
{
	pthread_once(&once, begin_curl);
	h->multi = ready == CURLE_OK ? curl_multi_init() : NULL;
	return h->multi ? RC_OK : RC_ERROR;
}

void sqshttp_close(struct sqshttp *h)
{
	if (h->multi)
		curl_multi_cleanup(h->multi);
	h->multi = NULL;
}

void sqshttp_wake(struct sqshttp *h)
{
	curl_multi_wakeup(h->multi);
}

static size_t on_bytes(char *p, size_t one, size_t n, void *arg)
{
	struct sqshttp_call *c = arg;

	return !n || iobuf_append(&c->reply, p, n) == RC_OK ? n : CURL_WRITEFUNC_ERROR;
}

enum rc sqshttp_call_open(struct sqshttp *h, struct sqshttp_call *c, size_t reply_most, sqshttp_done_fn done, void *arg)
{
	*c = (struct sqshttp_call){.http = h, .done = done, .arg = arg};
	iobuf_init(&c->body, 0);
	iobuf_init(&c->reply, reply_most);
	c->body.wipes = c->reply.wipes = true;
	c->easy = curl_easy_init();
	return c->easy ? RC_OK : RC_ERROR;
}

void sqshttp_forget(struct sqshttp_call *c)
{
	for (struct curl_slist *s = c->headers; s; s = s->next)
		secret_wipe(s->data, strlen(s->data));
	curl_slist_free_all(c->headers);
	c->headers = NULL;
}

void sqshttp_call_close(struct sqshttp_call *c)
{
	if (!c->easy)
		return;
	if (c->busy)
		curl_multi_remove_handle(c->http->multi, c->easy);
	curl_easy_cleanup(c->easy);
	c->easy = NULL;
	sqshttp_forget(c);
	iobuf_reset(&c->body);
	iobuf_reset(&c->reply);
}

enum rc sqshttp_header(struct sqshttp_call *c, const char *name, struct span value)
{
	struct curl_slist *more;
	struct iobuf line;
	enum rc rc;

	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.p[i] < ' ')
			return RC_ERROR;
	iobuf_init(&line, 0);
	line.wipes = true;
	rc = iobuf_append(&line, name, strlen(name));
	if (rc == RC_OK)
		rc = iobuf_append(&line, ": ", value.len ? 2 : 1); /* "name:" alone takes out what curl would send */
	if (rc == RC_OK && value.len)
		rc = iobuf_append(&line, value.p, value.len);
	if (rc == RC_OK)
		rc = iobuf_append(&line, "", 1);
	more = rc == RC_OK ? curl_slist_append(c->headers, (const char *)iobuf_data(&line)) : NULL;
	iobuf_reset(&line);
	if (!more)
		return RC_ERROR;
	c->headers = more;
	return RC_OK;
}

static bool set_request(struct sqshttp_call *c, const struct sqshttp_how *how)
{
	CURL *e = c->easy;
	bool post = !how->method || strcmp(how->method, "POST") == 0;

	if (post && (curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)iobuf_len(&c->body)) != CURLE_OK ||
		     curl_easy_setopt(e, CURLOPT_POSTFIELDS, (const char *)iobuf_data(&c->body)) != CURLE_OK))
		return false;
	if (!post && curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, how->method) != CURLE_OK)
		return false;
	if (how->direct && curl_easy_setopt(e, CURLOPT_PROXY, "") != CURLE_OK)
		return false;
	if (c->http->ca && curl_easy_setopt(e, CURLOPT_CAINFO, c->http->ca) != CURLE_OK)
		return false;
	return curl_easy_setopt(e, CURLOPT_URL, how->url) == CURLE_OK && curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_TIMEOUT, how->seconds) == CURLE_OK;
}

static bool set_manner(struct sqshttp_call *c)
{
	CURL *e = c->easy;

	return curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK && curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_USERAGENT, AGENT) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK && curl_easy_setopt(e, CURLOPT_WRITEDATA, c) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PRIVATE, c) == CURLE_OK && curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
}

enum rc sqshttp_begin(struct sqshttp_call *c, const struct sqshttp_how *how)
{
	iobuf_consume(&c->reply, iobuf_len(&c->reply));
	c->status = 0;
	c->sent = false;
	c->error[0] = '\0';
	curl_easy_reset(c->easy);
	c->busy = set_manner(c) && set_request(c, how) && curl_multi_add_handle(c->http->multi, c->easy) == CURLM_OK;
	if (!c->busy)
		sqshttp_forget(c);
	return c->busy ? RC_OK : RC_ERROR;
}

static void finish(struct sqshttp_call *c, CURLcode code)
{
	curl_off_t before = 0;
	long bytes = 0;

	curl_multi_remove_handle(c->http->multi, c->easy);
	sqshttp_forget(c);
	c->busy = false;
	c->sent = true;
	if (code == CURLE_OK) {
		if (curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status) != CURLE_OK)
			c->status = 0;
	} else {
		/* Ready to send, or sent over a kept connection that turned out to be lost and was replaced. */
		c->sent = curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &before) != CURLE_OK || before > 0 ||
			  curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &bytes) != CURLE_OK || bytes > 0;
		snprintf(c->error, sizeof(c->error), "%s", curl_easy_strerror(code));
	}
	c->done(c->arg, c);
}

void sqshttp_turn(struct sqshttp *h, int wait_ms)
{
	CURLMsg *m;
	int n;

	curl_multi_poll(h->multi, NULL, 0, wait_ms, &n);
	curl_multi_perform(h->multi, &n);
	while ((m = curl_multi_info_read(h->multi, &n)) != NULL) {
		struct sqshttp_call *c = NULL;
		CURLcode code = m->data.result;

		if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c) == CURLE_OK && c)
			finish(c, code);
	}
}
