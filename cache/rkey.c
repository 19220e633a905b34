#include "rkey.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "urltext.h"

/* Not seeded: all instances must agree. Who crafts names that collide gets needless invalidations, nothing else. */
static cache_tag tag_of(struct span what, uint64_t within, unsigned kind)
{
	return (XXH3_64bits_withSeed(what.p, what.len, within) & ~CACHE_TAG_KIND) | kind;
}

cache_tag cache_tag_table(struct span schema, struct span table)
{
	return tag_of(table, XXH3_64bits(schema.p, schema.len), CACHE_TAG_TABLE);
}

cache_tag cache_tag_rows(cache_tag table)
{
	return (table & ~CACHE_TAG_KIND) | CACHE_TAG_ROWS;
}

cache_tag cache_tag_key(cache_tag table, struct span column)
{
	return tag_of(column, table, CACHE_TAG_KEY);
}

cache_tag cache_tag_row(cache_tag key, struct span value)
{
	return tag_of(value, key, CACHE_TAG_ROW);
}

/* CRC16 as Redis Cluster's specification has it: polynomial 0x1021, from 0, of what stands in the braces. */
static uint16_t cluster_slot(const struct rkey *prefix)
{
	uint16_t crc = 0;

	for (const char *c = prefix->text + 1; *c != '}'; c++) {
		crc ^= (uint16_t)((uint8_t)*c << 8);
		for (unsigned i = 0; i < 8; i++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc % 16384;
}

/* The parts, of which the longest fit, one behind the other. */
static struct rkey joined(struct span a, struct span b, struct span c)
{
	struct rkey n = {.len = a.len + b.len + c.len};
	char *to = n.text;

	to = mempcpy(to, a.p, a.len);
	to = mempcpy(to, b.p, b.len);
	mempcpy(to, c.p, c.len);
	return n;
}

static struct rkey named(const struct rkeys *k, const char *what)
{
	return joined(rkey_span(&k->prefix), span_str(what), span_str(""));
}

enum rc rkeys_init(struct rkeys *k, struct span name)
{
	if (name.len && !urltext_is_word(name))
		return RC_ERROR;
	k->prefix = joined(span_str(name.len ? "{" RKEY_HASH_TAG ":" : "{" RKEY_HASH_TAG), name, span_str("}:"));
	k->bus = named(k, "bus");
	k->ledger = named(k, "writers");
	k->cluster_slot = cluster_slot(&k->prefix);
	return RC_OK;
}

struct rkey rkey_token(const struct rkeys *k, uint32_t slot)
{
	char text[16];

	snprintf(text, sizeof(text), "t:%u", (unsigned)slot);
	return named(k, text);
}

struct rkey rkey_token_all(const struct rkeys *k)
{
	return named(k, "t:all");
}

struct rkey rkey_value(const struct rkeys *k, struct span key)
{
	XXH128_hash_t h = XXH3_128bits(key.p, key.len);
	char text[40];

	snprintf(text, sizeof(text), "v:%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
	return named(k, text);
}

uint64_t rkey_bus_id(const char *url)
{
	return XXH3_64bits_withSeed(url, strlen(url), XXH3_64bits(RKEY_HASH_TAG, sizeof(RKEY_HASH_TAG) - 1)) | 1;
}
