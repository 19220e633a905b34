/*
 * sqsmsg_fuzz.c - whatever stands in a message of SQS, reading it stays within its bounds, and what is taken has the records it
 * says (F2).
 *
 * The first byte chooses: the text as it came; or the bytes behind a magic and a checksum that are made right, so that what is
 * behind the checksum's test is reached, as text. Written again the latter are the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "crc32c.h"
#include "mem.h"
#include "sqsmsg.h"

#define INPUT_MAX 65536u
#define MAGIC "suq1"
#define SUMMED_AT 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* As many records as it says, each within the message. */
static void walk(const struct sqsmsg *m, const struct iobuf *raw)
{
	const char *begin = (const char *)iobuf_data(raw), *end = begin + iobuf_len(raw);
	struct span left = m->records, body;
	uint32_t n = 0;

	for (; left.len; n++) {
		must(sqsmsg_next(&left, &body) == RC_OK);
		must(body.len && body.p >= begin && body.p + body.len <= end);
	}
	must(n == m->count && n && n <= SQSMSG_RECORDS_MAX);
	must(m->before < m->number && sqsmsg_id(m, n - 1) >> SQSMSG_ID_BITS == m->number);
}

static void read_again(const struct sqsmsg *m, struct span text, bool same_text)
{
	struct iobuf again, raw;
	struct sqsmsg n;
	const char *why;

	iobuf_init(&again, 0);
	iobuf_init(&raw, 0);
	must(sqsmsg_encode(m, &again) == RC_OK);
	must(!same_text || span_eq(span_of(iobuf_data(&again), iobuf_len(&again)), text));
	must(sqsmsg_decode(span_of(iobuf_data(&again), iobuf_len(&again)), &raw, &n, &why) == RC_OK);
	must(n.queue == m->queue && n.lane == m->lane && n.producer == m->producer && n.number == m->number && n.before == m->before &&
	     n.count == m->count && span_eq(n.records, m->records));
	iobuf_reset(&again);
	iobuf_reset(&raw);
}

static void fuzz_text(struct span text, bool same_text)
{
	const char *why = NULL;
	struct iobuf raw;
	struct sqsmsg m;
	enum rc rc;

	iobuf_init(&raw, 0);
	rc = sqsmsg_decode(text, &raw, &m, &why);
	must(rc == RC_OK || (rc == RC_DECLINED && why));
	if (rc == RC_OK) {
		walk(&m, &raw);
		read_again(&m, text, same_text);
	}
	iobuf_reset(&raw);
}

static void fuzz_bytes(const uint8_t *data, size_t size)
{
	uint8_t *raw = mem_alloc(SUMMED_AT + size), *text = mem_alloc((SUMMED_AT + size + 2) / 3 * 4 + 1);
	uint32_t crc = crc32c(0, data, size);
	int len;

	must(raw && text);
	memcpy(raw, MAGIC, 4);
	for (unsigned i = 0; i < 4; i++)
		raw[4 + i] = (uint8_t)(crc >> (8 * i));
	memcpy(raw + SUMMED_AT, data, size);
	len = EVP_EncodeBlock(text, raw, (int)(SUMMED_AT + size));
	fuzz_text(span_of(text, (size_t)len), true);
	mem_free(raw);
	mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	if (data[0] & 1) {
		fuzz_bytes(data + 1, size - 1);
		return 0;
	}
	text = mem_alloc(size - 1); /* on its own, so that a read past its end is seen */
	must(text != NULL);
	memcpy(text, data + 1, size - 1);
	fuzz_text(span_of(text, size - 1), false);
	mem_free(text);
	return 0;
}
