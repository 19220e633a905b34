/*
 * sqsreply_fuzz.c - whatever SQS answers, or whoever gives out credentials, is read within its bounds, and what is taken of it is
 * what its reader relies on (F2). The first byte chooses the answer; a queue's URL, which its owner writes, is read here too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "sqs_url.h"
#include "sqsreply.h"

#define INPUT_MAX 65536u
#define MESSAGES_MAX 10u
#define RECEIPT_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static uint64_t sum; /* so that nothing is optimised away */

static void touch(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += (uint8_t)s.p[i];
}

static enum rc on_message(void *arg, struct span receipt, struct span body, uint64_t seq)
{
	unsigned *n = arg;

	must(++*n <= MESSAGES_MAX && seq <= INT64_MAX);
	must(receipt.len && receipt.len <= RECEIPT_MAX && strlen(receipt.p) == receipt.len);
	touch(body);
	return body.len == 4 ? RC_DECLINED : RC_OK;
}

static void fuzz_messages(struct span json)
{
	unsigned n = 0;
	enum rc rc = sqsreply_messages(json, on_message, &n);

	must(rc == RC_OK || rc == RC_ERROR || (rc == RC_DECLINED && n));
}

static void fuzz_sent(struct span json)
{
	uint64_t seq;

	if (sqsreply_sent(json, &seq) == RC_OK)
		must(seq <= INT64_MAX);
	if (sqsreply_number(json, &seq) == RC_OK)
		must(seq <= INT64_MAX && json.len);
}

static void fuzz_look(struct span json)
{
	struct sqsreply_attributes a;

	if (sqsreply_look(json, &a) == RC_OK) {
		must(a.visible + a.hidden >= a.visible); /* both are added up */
		must(a.message_bytes <= INT64_MAX && a.retention_seconds <= INT64_MAX);
	}
}

static void on_keys(void *arg, const struct sqsreply_keys *k)
{
	bool *called = arg;

	*called = true;
	must(k->key_id.len && k->secret.len);
	for (size_t i = 0; i < k->key_id.len; i++)
		must(k->key_id.p[i] > ' ' && k->key_id.p[i] <= '~'); /* it goes into a header */
	for (size_t i = 0; i < k->token.len; i++)
		must(k->token.p[i] > ' ' && k->token.p[i] <= '~');
	touch(k->secret);
}

static void fuzz_credentials(struct span json)
{
	bool called = false;
	enum rc rc = sqsreply_credentials(json, on_keys, &called);

	must((rc == RC_OK) == called);
}

static void fuzz_fault(struct span json)
{
	struct sqsreply_error e;

	memset(&e, 'x', sizeof(e));
	sqsreply_fault(json, &e);
	must(memchr(e.type, '\0', sizeof(e.type)) && memchr(e.text, '\0', sizeof(e.text)) && !strchr(e.type, '#'));
}

static void fuzz_url(struct span given)
{
	char *text = mem_dup(given.p, given.len), lane[SQS_URL_MAX]; /* with a NUL */
	struct sqs_url u;

	must(text != NULL);
	if (!sqs_url_parse(text, &u)) {
		must(u.lanes >= 1 && u.lanes <= SQS_URL_LANES_MAX && u.host[0] && u.region[0] && u.name[0]);
		sqs_url_lane(&u, u.lanes - 1, lane);
		must(strncmp(lane, u.endpoint, strlen(u.endpoint)) == 0 && !strpbrk(lane, "{}"));
	}
	mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(struct span) = {fuzz_messages, fuzz_sent, fuzz_look, fuzz_credentials, fuzz_fault, fuzz_url};
	uint8_t *copy;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	copy = mem_alloc(size - 1); /* on its own, so that a read past its end is seen */
	must(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	readers[data[0] % (sizeof(readers) / sizeof(readers[0]))](span_of(copy, size - 1));
	mem_free(copy);
	return 0;
}
