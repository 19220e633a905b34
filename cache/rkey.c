#include "rkey.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

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

struct rkey rkey_token(uint32_t slot)
{
	struct rkey n;

	n.len = (size_t)snprintf(n.text, sizeof(n.text), RKEY_PREFIX "t:%u", (unsigned)slot);
	return n;
}

struct rkey rkey_token_all(void)
{
	return (struct rkey){.text = RKEY_PREFIX "t:all", .len = sizeof(RKEY_PREFIX "t:all") - 1};
}

uint64_t rkey_bus_id(const char *url)
{
	return XXH3_64bits_withSeed(url, strlen(url), XXH3_64bits(RKEY_HASH_TAG, sizeof(RKEY_HASH_TAG) - 1)) | 1;
}

struct rkey rkey_value(struct span key)
{
	XXH128_hash_t h = XXH3_128bits(key.p, key.len);
	struct rkey n;

	n.len = (size_t)snprintf(n.text, sizeof(n.text), RKEY_PREFIX "v:%016llx%016llx", (unsigned long long)h.high64,
				 (unsigned long long)h.low64);
	return n;
}

/* CRC16 as Redis Cluster's specification has it: polynomial 0x1021, from 0, of what stands in the braces. */
uint16_t rkey_cluster_slot(void)
{
	uint16_t crc = 0;

	for (const char *c = RKEY_HASH_TAG; *c; c++) {
		crc ^= (uint16_t)((uint8_t)*c << 8);
		for (unsigned i = 0; i < 8; i++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc % 16384;
}
