#include "known.h"

#include <string.h>

#include "map.h"
#include "mem.h"

#define CHANCES 3 /* so many others must want its place before a text that was found lately gives it up */

struct known_text {
	uint64_t hash, digest, literals;
	unsigned mode;
	uint16_t len, canonical_len;
	uint16_t body_at, body_len; /* of the text */
	bool has_executable_comment;
	uint8_t chances;
	char bytes[]; /* the text, then its canonical form */
};

void known_reset(struct known *k)
{
	for (unsigned i = 0; i < KNOWN_SLOTS; i++)
		mem_free(k->slot[i]);
	memset(k, 0, sizeof(*k));
}

const struct known_text *known_find(struct known *k, struct span text, unsigned mode, uint64_t *hash)
{
	struct known_text *t;

	if (text.len == 0 || text.len > KNOWN_TEXT_MOST)
		return NULL;
	if (!*hash)
		*hash = map_hash(text.p, text.len);
	t = k->slot[*hash % KNOWN_SLOTS];
	if (!t || t->hash != *hash || t->mode != mode || t->len != text.len || memcmp(t->bytes, text.p, text.len) != 0)
		return NULL;
	t->chances = CHANCES;
	return t;
}

void known_lexed(const struct known_text *t, struct span text, struct sql_lexed *out)
{
	memset(out, 0, offsetof(struct sql_lexed, tags));
	out->digest = t->digest;
	out->literals = t->literals;
	out->body = span_of(text.p + t->body_at, t->body_len);
	out->has_executable_comment = t->has_executable_comment;
}

struct span known_canonical(const struct known_text *t)
{
	return span_of(t->bytes + t->len, t->canonical_len);
}

static struct known_text *known_new(struct span text, unsigned mode, uint64_t hash, const struct sql_lexed *lexed,
				    struct span canonical)
{
	struct known_text *t = mem_alloc(sizeof(*t) + text.len + canonical.len);

	if (!t)
		return NULL;
	*t = (struct known_text){.hash = hash, .digest = lexed->digest, .literals = lexed->literals, .mode = mode,
				 .len = (uint16_t)text.len, .canonical_len = (uint16_t)canonical.len,
				 .body_at = (uint16_t)(lexed->body.p - text.p), .body_len = (uint16_t)lexed->body.len,
				 .has_executable_comment = lexed->has_executable_comment, .chances = CHANCES};
	memcpy(t->bytes, text.p, text.len);
	memcpy(t->bytes + text.len, canonical.p, canonical.len);
	return t;
}

/* All that known_lexed() leaves out is as it is without hints and tags. */
static bool may_be_kept(struct span text, const struct sql_lexed *l, struct span canonical)
{
	return !l->hints && !l->ntags && !l->hint_group.len && !l->hint_cache_ns && !l->broken && canonical.len &&
	       canonical.len <= KNOWN_TEXT_MOST && l->body.p >= text.p && l->body.p + l->body.len <= text.p + text.len;
}

void known_keep(struct known *k, struct span text, unsigned mode, uint64_t hash, const struct sql_lexed *lexed,
		struct span canonical)
{
	struct known_text **slot = &k->slot[hash % KNOWN_SLOTS], *t;

	if (!hash || !may_be_kept(text, lexed, canonical))
		return;
	if (*slot && (*slot)->chances) {
		(*slot)->chances--;
		return;
	}
	t = known_new(text, mode, hash, lexed, canonical);
	if (!t)
		return;
	k->count += *slot == NULL;
	mem_free(*slot);
	*slot = t;
}
