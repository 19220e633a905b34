/*
 * sqsreply.c - see sqsreply.h.
 */
#include "sqsreply.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "sqsmsg.h"

#define DIGITS_MAX 39u
#define RECEIPT_MAX 4096u
#define MESSAGES_MAX 10u

static json_t *load(struct span json)
{
	return json.len ? json_loadb(json.p, json.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* Empty if it is missing or no text. */
static struct span text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? span_of(json_string_value(v), json_string_length(v)) : span_str("");
}

/* A number, as SQS has them: in quotes. */
static uint64_t number_of(const json_t *o, const char *key)
{
	struct span s = text_of(o, key);
	uint64_t v = 0;

	if (s.len > 18)
		return 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	return v;
}

enum rc sqsreply_number(struct span digits, uint64_t *seq)
{
	bool large = false;
	uint64_t v = 0;

	if (!digits.len || digits.len > DIGITS_MAX)
		return RC_ERROR;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return RC_ERROR;
		large |= v >= UINT64_MAX / 10;
		v = v * 10 + (uint64_t)(digits.p[i] - '0');
	}
	/* A bit is left, so that nothing added to it overflows. */
	*seq = (large || v >> (63 - SQSMSG_ID_BITS) ? v : v << SQSMSG_ID_BITS) & INT64_MAX;
	return RC_OK;
}

enum rc sqsreply_sent(struct span json, uint64_t *seq)
{
	json_t *o = load(json);
	enum rc rc = sqsreply_number(text_of(o, "SequenceNumber"), seq);

	json_decref(o);
	return rc;
}

static enum rc show_message(const json_t *m, sqsreply_message_fn fn, void *arg)
{
	struct span receipt = text_of(m, "ReceiptHandle");
	uint64_t seq;

	if (!receipt.len || receipt.len > RECEIPT_MAX || memchr(receipt.p, '\0', receipt.len) ||
	    sqsreply_number(text_of(json_object_get(m, "Attributes"), "SequenceNumber"), &seq) != RC_OK)
		return RC_ERROR;
	return fn(arg, receipt, text_of(m, "Body"), seq);
}

enum rc sqsreply_messages(struct span json, sqsreply_message_fn fn, void *arg)
{
	json_t *o = load(json), *list = json_object_get(o, "Messages");
	enum rc rc = json_is_object(o) && (!list || json_is_null(list) || json_is_array(list)) && json_array_size(list) <= MESSAGES_MAX
			     ? RC_OK
			     : RC_ERROR;

	for (size_t i = 0; rc == RC_OK && i < json_array_size(list); i++)
		rc = show_message(json_array_get(list, i), fn, arg);
	json_decref(o);
	return rc;
}

enum rc sqsreply_look(struct span json, struct sqsreply_attributes *a)
{
	json_t *o = load(json), *of = json_object_get(o, "Attributes");
	enum rc rc = json_is_object(of) ? RC_OK : RC_ERROR;

	*a = (struct sqsreply_attributes){
		.fifo = span_eq(text_of(of, "FifoQueue"), span_str("true")),
		.redrive = text_of(of, "RedrivePolicy").len > 0,
		.message_bytes = number_of(of, "MaximumMessageSize"),
		.retention_seconds = number_of(of, "MessageRetentionPeriod"),
		.visible = number_of(of, "ApproximateNumberOfMessages"),
		.hidden = number_of(of, "ApproximateNumberOfMessagesNotVisible"),
	};
	json_decref(o);
	return rc;
}

/* 2026-11-21T22:00:00Z; 0: none that is understood. */
static uint64_t time_of(struct span s)
{
	struct tm tm = {0};
	char text[40];
	time_t t;

	if (!s.len || s.len >= sizeof(text))
		return 0;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	t = timegm(&tm);
	return t > 0 ? (uint64_t)t * 1000000 : 0;
}

static bool is_visible(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

enum rc sqsreply_credentials(struct span json, void (*fn)(void *arg, const struct sqsreply_keys *k), void *arg)
{
	json_t *o = load(json);
	struct sqsreply_keys k = {.key_id = text_of(o, "AccessKeyId"),
				  .secret = text_of(o, "SecretAccessKey"),
				  .token = text_of(o, "Token"),
				  .until_us = time_of(text_of(o, "Expiration"))};
	enum rc rc = k.key_id.len && k.secret.len && is_visible(k.key_id) && is_visible(k.token) ? RC_OK : RC_ERROR;

	if (rc == RC_OK)
		fn(arg, &k);
	json_decref(o);
	return rc;
}

void sqsreply_fault(struct span json, struct sqsreply_error *e)
{
	json_t *o = load(json);
	struct span type = text_of(o, "__type"), text = text_of(o, "message");
	const char *hash = type.len ? memrchr(type.p, '#', type.len) : NULL;

	if (hash)
		type = span_of(hash + 1, type.len - (size_t)(hash + 1 - type.p));
	if (!text.len)
		text = text_of(o, "Message");
	snprintf(e->type, sizeof(e->type), SPAN_FMT, SPAN_ARG(type));
	snprintf(e->text, sizeof(e->text), SPAN_FMT, SPAN_ARG(text));
	json_decref(o);
}
