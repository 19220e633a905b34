/*
 * sqssign.c - see sqssign.h.
 */
#include "sqssign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

#include "secret.h"

#define HASH_BYTES 32u
#define HEX_BYTES (2 * HASH_BYTES)
#define DAY_BYTES 8u /* of a time */
#define KEY_MAX 512u /* of AWS4 and the secret */

void sqssign_time(char out[SQSSIGN_TIME_MAX], uint64_t wall_us)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(out, SQSSIGN_TIME_MAX, "%Y%m%dT%H%M%SZ", &tm) == 0)
		out[0] = '\0';
}

static void to_hex(char out[HEX_BYTES], const uint8_t hash[HASH_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < HASH_BYTES; i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
}

static enum rc hash_hex(char out[HEX_BYTES], const void *p, size_t len)
{
	uint8_t hash[HASH_BYTES];

	if (EVP_Digest(p, len, hash, NULL, EVP_sha256(), NULL) != 1)
		return RC_ERROR;
	to_hex(out, hash);
	return RC_OK;
}

static enum rc hmac(uint8_t out[HASH_BYTES], const void *key, size_t key_len, struct span text)
{
	uint8_t got[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text.p, text.len, got, &len) || len != HASH_BYTES)
		return RC_ERROR;
	memcpy(out, got, HASH_BYTES);
	secret_wipe(got, sizeof(got));
	return RC_OK;
}

static enum rc put(struct iobuf *out, struct span s)
{
	return s.len ? iobuf_append(out, s.p, s.len) : RC_OK;
}

static enum rc put_line(struct iobuf *out, struct span s)
{
	return put(out, s) == RC_OK ? iobuf_append(out, "\n", 1) : RC_ERROR;
}

static enum rc put_names(const struct sqssign_request *r, struct iobuf *out)
{
	enum rc rc = RC_OK;

	for (unsigned i = 0; rc == RC_OK && i < r->nheaders; i++) {
		rc = i ? iobuf_append(out, ";", 1) : RC_OK;
		if (rc == RC_OK)
			rc = put(out, r->headers[i].name);
	}
	return rc;
}

/* Spaces at either end go, several within become one. */
static enum rc put_value(struct iobuf *out, struct span v)
{
	bool gap = false, begun = false;

	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] == ' ') {
			gap = begun;
			continue;
		}
		if ((gap && iobuf_append(out, " ", 1) != RC_OK) || iobuf_append(out, &v.p[i], 1) != RC_OK)
			return RC_ERROR;
		gap = false;
		begun = true;
	}
	return iobuf_append(out, "\n", 1);
}

/* The request in its canonical form. */
static enum rc put_canonical(const struct sqssign_request *r, struct iobuf *out)
{
	char body[HEX_BYTES];

	if (hash_hex(body, r->body.p, r->body.len) != RC_OK || put_line(out, r->method) != RC_OK || put_line(out, r->path) != RC_OK ||
	    put_line(out, r->query) != RC_OK)
		return RC_ERROR;
	for (unsigned i = 0; i < r->nheaders; i++) {
		if (put(out, r->headers[i].name) != RC_OK || iobuf_append(out, ":", 1) != RC_OK ||
		    put_value(out, r->headers[i].value) != RC_OK)
			return RC_ERROR;
	}
	if (iobuf_append(out, "\n", 1) != RC_OK || put_names(r, out) != RC_OK || iobuf_append(out, "\n", 1) != RC_OK)
		return RC_ERROR;
	return iobuf_append(out, body, sizeof(body));
}

/* A key for one day, region and service. */
static enum rc derive(const struct sqssign_scope *s, uint8_t key[HASH_BYTES])
{
	char first[KEY_MAX];
	enum rc rc;

	if (s->secret.len > sizeof(first) - 4)
		return RC_ERROR;
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, s->secret.p, s->secret.len);
	rc = hmac(key, first, 4 + s->secret.len, span_of(s->time, DAY_BYTES));
	secret_wipe(first, sizeof(first));
	if (rc == RC_OK)
		rc = hmac(key, key, HASH_BYTES, s->region);
	if (rc == RC_OK)
		rc = hmac(key, key, HASH_BYTES, s->service);
	return rc == RC_OK ? hmac(key, key, HASH_BYTES, span_str("aws4_request")) : rc;
}

/* canonical: its memory is used for what is signed. */
static enum rc sign(const struct sqssign_scope *s, struct iobuf *canonical, char signature[HEX_BYTES])
{
	uint8_t key[HASH_BYTES];
	char hashed[HEX_BYTES];
	enum rc rc = hash_hex(hashed, iobuf_data(canonical), iobuf_len(canonical));

	iobuf_consume(canonical, iobuf_len(canonical));
	if (rc == RC_OK)
		rc = iobuf_printf(canonical, "AWS4-HMAC-SHA256\n%s\n%.8s/" SPAN_FMT "/" SPAN_FMT "/aws4_request\n", s->time, s->time,
				  SPAN_ARG(s->region), SPAN_ARG(s->service));
	if (rc == RC_OK)
		rc = iobuf_append(canonical, hashed, sizeof(hashed));
	if (rc == RC_OK)
		rc = derive(s, key);
	if (rc == RC_OK)
		rc = hmac(key, key, sizeof(key), span_of((const char *)iobuf_data(canonical), iobuf_len(canonical)));
	if (rc == RC_OK)
		to_hex(signature, key);
	secret_wipe(key, sizeof(key));
	return rc;
}

enum rc sqssign_authorize(const struct sqssign_request *r, const struct sqssign_scope *s, struct iobuf *out)
{
	char signature[HEX_BYTES];
	struct iobuf canonical;
	enum rc rc;

	if (strlen(s->time) != SQSSIGN_TIME_MAX - 1)
		return RC_ERROR;
	iobuf_init(&canonical, 0);
	canonical.wipes = true; /* it names the session's token */
	rc = put_canonical(r, &canonical);
	if (rc == RC_OK)
		rc = sign(s, &canonical, signature);
	iobuf_reset(&canonical);
	if (rc == RC_OK)
		rc = iobuf_printf(out, "AWS4-HMAC-SHA256 Credential=" SPAN_FMT "/%.8s/" SPAN_FMT "/" SPAN_FMT "/aws4_request, SignedHeaders=",
				  SPAN_ARG(s->key_id), s->time, SPAN_ARG(s->region), SPAN_ARG(s->service));
	if (rc == RC_OK)
		rc = put_names(r, out);
	if (rc == RC_OK)
		rc = iobuf_append(out, ", Signature=", 12);
	return rc == RC_OK ? iobuf_append(out, signature, sizeof(signature)) : rc;
}
