/*
 * Everything that comes from Redis: replies, values, bus messages; and the URL. The first byte chooses; for replies the
 * second says how the bytes are cut.
 */
#include <stdlib.h>
#include <string.h>

#include "bus_msg.h"
#include "l2_value.h"
#include "mem.h"
#include "redis_reply.h"
#include "redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BUDGET 4096

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* What a caller may do with a reply: all of it is there, and within the budget. */
static size_t weigh(const struct redis_reply *r)
{
	size_t bytes = sizeof(*r);

	must(r != NULL);
	must(r->n == 0 || r->type == REDIS_REPLY_ARRAY);
	must(r->len == 0 || r->str[r->len] == '\0');
	for (size_t i = 0; i < r->n; i++)
		bytes += weigh(r->element[i]);
	return bytes + r->len;
}

static void fuzz_replies(const uint8_t *data, size_t size)
{
	struct redis_reply_budget budget = {.max = BUDGET};
	redisReader *r = redisReaderCreateWithFunctions(&redis_reply_functions);
	size_t step = size ? data[0] % 64 + 1u : 1;
	bool good = true;

	must(r != NULL);
	r->privdata = &budget;
	for (size_t at = 1; good && at < size; at += step) {
		void *reply = NULL;

		must(redisReaderFeed(r, (const char *)data + at, size - at < step ? size - at : step) == REDIS_OK);
		while ((good = redisReaderGetReply(r, &reply) == REDIS_OK) && reply) {
			must(weigh(reply) <= BUDGET);
			redis_reply_free(reply);
			budget.used = 0;
			reply = NULL;
		}
	}
	redisReaderFree(r);
}

/* What is read is written the same. `mend`: with the checksum put right first, to get past it. */
static void fuzz_value(const uint8_t *data, size_t size, bool mend)
{
	uint8_t *copy = mem_dup(data, size), *again, *owned;
	struct span plain;
	struct l2_value v;
	size_t len;

	must(copy != NULL);
	if (mend && size >= 16) {
		uint64_t sum = l2_value_checksum(copy, size);

		for (unsigned i = 0; i < 8; i++)
			copy[8 + i] = (uint8_t)(sum >> (8 * i));
	}
	if (l2_value_decode(span_of(copy, size), &v) == RC_OK) {
		must(l2_value_same_tokens(&v, &v));
		if (l2_value_unpack(&v, 1 << 20, &plain, &owned) == RC_OK) {
			must(plain.len <= 1 << 20);
			v.data = plain;
			again = l2_value_encode(&v, &len);
			must(again && (v.data.len >= L2_VALUE_PACK_FROM || len == size));
			mem_free(again);
			mem_free(owned);
		}
	}
	mem_free(copy);
}

static void fuzz_message(const uint8_t *data, size_t size)
{
	struct versions_pos pos;
	struct bus_msg_in in;
	unsigned n = 0;
	uint32_t slot;

	if (bus_msg_read(span_of(data, size), &in) != RC_OK)
		return;
	while (bus_msg_next(&in, 1000, &slot, &pos) == RC_OK) {
		must(slot < RKEY_SLOTS && pos.n <= VERSIONS_POSITIONS && ++n <= BUS_MSG_WRITES);
		must(pos.unknown_until == 0 || pos.unknown_until >= 1000);
	}
}

static void fuzz_url(const uint8_t *data, size_t size)
{
	char *text = mem_dup(data, size), why[160] = "";
	struct redis_url u;

	must(text != NULL);
	if (redis_url_parse(text, &u, why, sizeof(why)) == RC_OK) {
		must(u.host && u.host[0] && u.port > 0 && u.db <= 65535);
		redis_url_reset(&u);
	} else {
		must(why[0] != '\0' && !u.host && !u.password);
	}
	mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 5) {
	case 0: fuzz_replies(data + 1, size - 1); break;
	case 1: fuzz_value(data + 1, size - 1, false); break;
	case 2: fuzz_value(data + 1, size - 1, true); break;
	case 3: fuzz_message(data + 1, size - 1); break;
	default: fuzz_url(data + 1, size - 1); break;
	}
	return 0;
}
