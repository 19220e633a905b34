/*
 * l2_value.h - a result as bytes in Redis. Little-endian:
 *
 *   0  magic "SMV2"    4  status, 2 bytes   6  tags, 2 bytes    8  XXH3 of all else
 *  16  run of Redis   24  ttl ms           32  rows            40  cost ns
 *  48  key length, 4   52  data length, 4   56  token of all, 16
 *  72  length of the data unpacked, 4; 0: they are not packed
 *  76  a tag: slot, 4, and its token, 16 ...   then the key, then the data
 *
 * Data from L2_VALUE_PACK_FROM bytes on are packed by zstd, if that makes them smaller by an eighth. The length must come out
 * exactly. Another format (magic) is not read. Pure: no Redis, no clock.
 */
#ifndef SUIMON_CACHE_L2_VALUE_H
#define SUIMON_CACHE_L2_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "rkey.h"
#include "rc.h"
#include "span.h"

#define L2_VALUE_HEAD 76
#define L2_VALUE_PACK_FROM 1024
#define L2_VALUE_TAG (4 + RKEY_TOKEN_LEN)
/* What a value may take around its key and data. */
#define L2_VALUE_OVERHEAD (L2_VALUE_HEAD + CACHE_MAX_TAGS * L2_VALUE_TAG)

struct l2_value {
	uint64_t run;
	uint64_t ttl_ms;
	uint64_t rows, cost_ns;
	uint16_t status;
	unsigned ntags;
	uint8_t token_all[RKEY_TOKEN_LEN];
	uint32_t slots[CACHE_MAX_TAGS];
	uint8_t tokens[CACHE_MAX_TAGS][RKEY_TOKEN_LEN];
	uint32_t unpacked;     /* decoded: length of the data unpacked; 0: they are not packed */
	struct span key, data; /* not owned */
};

/* A buffer the caller frees with mem_free. NULL: no memory, or a length that does not fit. */
uint8_t *l2_value_encode(const struct l2_value *v, size_t *len) must_check;
/* RC_DECLINED: not ours, or damaged. out's spans point into bytes. */
enum rc l2_value_decode(struct span bytes, struct l2_value *out) must_check;
/* The data of a decoded value. RC_OK: *out is they; *owned NULL, or the buffer they are in, to be freed with mem_free. RC_DECLINED:
 * damaged, longer than most bytes, or no memory. */
enum rc l2_value_unpack(const struct l2_value *v, size_t most, struct span *out, uint8_t **owned) must_check;
uint64_t l2_value_checksum(const uint8_t *bytes, size_t len); /* of at least 16 bytes */
/* Same run, same slots in the same order, same tokens. */
bool l2_value_same_tokens(const struct l2_value *a, const struct l2_value *b);

#endif
