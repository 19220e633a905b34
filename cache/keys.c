#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <xxhash.h>

/* Not seeded: all instances must agree. Who crafts names that collide gets needless invalidations, nothing else. */
cache_tag cache_tag_table(struct span schema, struct span table)
{
	return XXH3_64bits_withSeed(table.p, table.len, XXH3_64bits(schema.p, schema.len));
}

struct keys_name keys_token(uint32_t slot)
{
	struct keys_name n;

	n.len = (size_t)snprintf(n.text, sizeof(n.text), KEYS_PREFIX "t:%u", (unsigned)slot);
	return n;
}

struct keys_name keys_token_all(void)
{
	return (struct keys_name){.text = KEYS_PREFIX "t:all", .len = sizeof(KEYS_PREFIX "t:all") - 1};
}

struct keys_name keys_value(struct span key)
{
	XXH128_hash_t h = XXH3_128bits(key.p, key.len);
	struct keys_name n;

	n.len = (size_t)snprintf(n.text, sizeof(n.text), KEYS_PREFIX "v:%016llx%016llx", (unsigned long long)h.high64,
				 (unsigned long long)h.low64);
	return n;
}

enum rc keys_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return RC_ERROR;
		p += n;
		len -= (size_t)n;
	}
	return RC_OK;
}
