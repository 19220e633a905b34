#include "l2_value.h"

#include <endian.h>
#include <string.h>

#include <xxhash.h>
#include <zstd.h>

#include "mbuf.h"
#include "mem.h"
#include "wirebuf.h"

#define MAGIC 0x32564d53u /* "SMV2" */
#define CHECKED_FROM 16   /* behind the checksum */
#define PACK_LEVEL 1      /* a worker does it between two requests */

uint64_t l2_value_checksum(const uint8_t *bytes, size_t len)
{
	uint64_t first;

	memcpy(&first, bytes, sizeof(first));
	return XXH3_64bits_withSeed(bytes + CHECKED_FROM, len - CHECKED_FROM, le64toh(first));
}

/* All but the checksum. */
static enum rc put_head(struct wirebuf *w, const struct l2_value *v)
{
	const uint64_t words[] = {0, v->run, v->ttl_ms, v->rows, v->cost_ns};

	if (wirebuf_uint(w, 4, MAGIC) != RC_OK || wirebuf_uint(w, 2, v->status) != RC_OK ||
	    wirebuf_uint(w, 2, v->ntags) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < countof(words); i++) {
		if (wirebuf_uint(w, 8, words[i]) != RC_OK)
			return RC_ERROR;
	}
	if (wirebuf_uint(w, 4, v->key.len) != RC_OK || wirebuf_uint(w, 4, v->data.len) != RC_OK)
		return RC_ERROR;
	if (wirebuf_bytes(w, v->token_all, RKEY_TOKEN_LEN) != RC_OK)
		return RC_ERROR;
	return wirebuf_uint(w, 4, v->unpacked);
}

static enum rc put_body(struct wirebuf *w, const struct l2_value *v)
{
	for (unsigned i = 0; i < v->ntags; i++) {
		if (wirebuf_uint(w, 4, v->slots[i]) != RC_OK || wirebuf_bytes(w, v->tokens[i], RKEY_TOKEN_LEN) != RC_OK)
			return RC_ERROR;
	}
	if (wirebuf_bytes(w, v->key.p, v->key.len) != RC_OK)
		return RC_ERROR;
	return wirebuf_bytes(w, v->data.p, v->data.len);
}

static uint8_t *encode(const struct l2_value *v, size_t *len)
{
	struct wirebuf w, sum;
	uint8_t *bytes;

	*len = L2_VALUE_HEAD + v->ntags * (size_t)L2_VALUE_TAG + v->key.len + v->data.len;
	bytes = mem_alloc(*len);
	if (!bytes)
		return NULL;
	w = (struct wirebuf){.p = bytes, .end = bytes + *len};
	sum = (struct wirebuf){.p = bytes + 8, .end = bytes + CHECKED_FROM};
	if (put_head(&w, v) != RC_OK || put_body(&w, v) != RC_OK ||
	    wirebuf_uint(&sum, 8, l2_value_checksum(bytes, *len)) != RC_OK) {
		mem_free(bytes);
		return NULL;
	}
	return bytes;
}

/* The data packed, in a buffer of their own. NULL: not worth it, or no memory. */
static uint8_t *pack(struct span data, size_t *len)
{
	size_t room = data.len - data.len / 8;
	uint8_t *bytes = data.len < L2_VALUE_PACK_FROM ? NULL : mem_alloc(room);

	if (!bytes)
		return NULL;
	*len = ZSTD_compress(bytes, room, data.p, data.len, PACK_LEVEL); /* no room is an error, too */
	if (!ZSTD_isError(*len))
		return bytes;
	mem_free(bytes);
	return NULL;
}

uint8_t *l2_value_encode(const struct l2_value *v, size_t *len)
{
	struct l2_value out = *v;
	uint8_t *packed, *bytes;
	size_t n;

	if (v->ntags > CACHE_MAX_TAGS || v->key.len > INT32_MAX || v->data.len > INT32_MAX)
		return NULL;
	out.unpacked = 0;
	packed = pack(v->data, &n);
	if (packed) {
		out.unpacked = (uint32_t)v->data.len;
		out.data = span_of((char *)packed, n);
	}
	bytes = encode(&out, len);
	mem_free(packed);
	return bytes;
}

enum rc l2_value_unpack(const struct l2_value *v, size_t most, struct span *out, uint8_t **owned)
{
	size_t n;

	*owned = NULL;
	*out = v->data;
	if (!v->unpacked)
		return v->data.len <= most ? RC_OK : RC_DECLINED;
	if (v->unpacked > most)
		return RC_DECLINED;
	*owned = mem_alloc(v->unpacked);
	if (!*owned)
		return RC_DECLINED;
	n = ZSTD_decompress(*owned, v->unpacked, v->data.p, v->data.len);
	if (!ZSTD_isError(n) && n == v->unpacked) {
		*out = span_of((char *)*owned, n);
		return RC_OK;
	}
	mem_free(*owned);
	*owned = NULL;
	return RC_DECLINED;
}

static enum rc get_token(struct mbuf *m, uint8_t *out)
{
	struct span token;

	if (mbuf_bytes(m, RKEY_TOKEN_LEN, &token) != RC_OK)
		return RC_ERROR;
	memcpy(out, token.p, RKEY_TOKEN_LEN);
	return RC_OK;
}

/* Behind magic and checksum. */
static enum rc get_rest(struct mbuf *m, struct l2_value *v)
{
	uint32_t key_len, data_len;

	if (mbuf_u64(m, &v->run) != RC_OK || mbuf_u64(m, &v->ttl_ms) != RC_OK || mbuf_u64(m, &v->rows) != RC_OK ||
	    mbuf_u64(m, &v->cost_ns) != RC_OK || mbuf_u32(m, &key_len) != RC_OK || mbuf_u32(m, &data_len) != RC_OK ||
	    get_token(m, v->token_all) != RC_OK || mbuf_u32(m, &v->unpacked) != RC_OK)
		return RC_ERROR;
	for (unsigned i = 0; i < v->ntags; i++) {
		if (mbuf_u32(m, &v->slots[i]) != RC_OK || get_token(m, v->tokens[i]) != RC_OK)
			return RC_ERROR;
	}
	if (mbuf_bytes(m, key_len, &v->key) != RC_OK || mbuf_bytes(m, data_len, &v->data) != RC_OK)
		return RC_ERROR;
	return mbuf_left(m) == 0 ? RC_OK : RC_ERROR;
}

enum rc l2_value_decode(struct span bytes, struct l2_value *out)
{
	struct mbuf m = mbuf_of(bytes.p, bytes.len);
	uint16_t ntags;
	uint32_t magic;
	uint64_t sum;

	if (mbuf_u32(&m, &magic) != RC_OK || magic != MAGIC || mbuf_u16(&m, &out->status) != RC_OK ||
	    mbuf_u16(&m, &ntags) != RC_OK || ntags > CACHE_MAX_TAGS || mbuf_u64(&m, &sum) != RC_OK)
		return RC_DECLINED;
	if (sum != l2_value_checksum((const uint8_t *)bytes.p, bytes.len))
		return RC_DECLINED;
	out->ntags = ntags;
	return get_rest(&m, out) == RC_OK ? RC_OK : RC_DECLINED;
}

bool l2_value_same_tokens(const struct l2_value *a, const struct l2_value *b)
{
	if (a->run != b->run || a->ntags != b->ntags || memcmp(a->token_all, b->token_all, RKEY_TOKEN_LEN) != 0)
		return false;
	for (unsigned i = 0; i < a->ntags; i++) {
		if (a->slots[i] != b->slots[i] || memcmp(a->tokens[i], b->tokens[i], RKEY_TOKEN_LEN) != 0)
			return false;
	}
	return true;
}
