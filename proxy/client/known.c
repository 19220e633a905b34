#include "known.h"

#include <string.h>

#include "comment.h"
#include "map.h"
#include "mem.h"

#define CHANCES 3 /* so many others must want its place before a text that was found lately gives it up */

struct known_text {
	uint64_t hash, digest, literals;
	unsigned mode;
	uint16_t len, canonical_len;
	uint16_t body_at, body_len; /* of the text */
	bool has_executable_comment;
	bool goes_on; /* a comment may follow */
	uint8_t chances;
	char bytes[]; /* the text, then its canonical form */
};

/* The text before a comment of nobody's but ours at its end; all of it, where there is none. */
static struct span head_of(struct span text)
{
	const char *end = text.p + text.len, *at = end - 2;

	if (likely(text.len < 4 || at[0] != '*' || at[1] != '/'))
		return text;
	while ((at = memrchr(text.p, '*', (size_t)(at - text.p))) && at > text.p) {
		if (at[1] == '/')
			return text;
		if (at[-1] == '/') /* an executable comment, or an optimizer's hint, is one of the server's */
			return at[1] == '!' || at[1] == 'M' || at[1] == '+' ? text : span_of(text.p, (size_t)(at - 1 - text.p));
	}
	return text;
}

void known_reset(struct known *k)
{
	for (unsigned i = 0; i < KNOWN_SLOTS; i++)
		mem_free(k->slot[i]);
	memset(k, 0, sizeof(*k));
}

static bool is_of(const struct known_text *t, struct span head, unsigned mode, uint64_t hash)
{
	return t && t->hash == hash && t->mode == mode && t->len == head.len && memcmp(t->bytes, head.p, head.len) == 0;
}

const struct known_text *known_find(struct known *k, struct span text, unsigned mode, uint64_t *hash)
{
	struct known_text *t;
	struct span head;

	if (text.len == 0 || text.len > 2 * KNOWN_TEXT_MOST)
		return NULL;
	head = head_of(text);
	if (head.len == 0 || head.len > KNOWN_TEXT_MOST)
		return NULL;
	if (!*hash)
		*hash = map_hash(head.p, head.len);
	t = k->slot[*hash % KNOWN_SLOTS];
	if (!is_of(t, head, mode, *hash) || (head.len != text.len && !t->goes_on))
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
	if (text.len > t->len)
		sql_comment_read(span_of(text.p + t->len, text.len - t->len), out);
}

struct span known_canonical(const struct known_text *t)
{
	return span_of(t->bytes + t->len, t->canonical_len);
}

static struct known_text *known_new(struct span text, bool goes_on, unsigned mode, uint64_t hash, const struct sql_lexed *lexed,
				    struct span canonical)
{
	struct known_text *t = mem_alloc(sizeof(*t) + text.len + canonical.len);

	if (!t)
		return NULL;
	*t = (struct known_text){.hash = hash, .digest = lexed->digest, .literals = lexed->literals, .mode = mode,
				 .len = (uint16_t)text.len, .canonical_len = (uint16_t)canonical.len,
				 .body_at = (uint16_t)(lexed->body.p - text.p), .body_len = (uint16_t)lexed->body.len,
				 .has_executable_comment = lexed->has_executable_comment, .goes_on = goes_on,
				 .chances = CHANCES};
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

/* Behind its last word or sign nothing is open, not even a comment to the line's end. */
static bool ends_in_the_open(struct span text, const struct sql_lexed *l)
{
	const char *at = l->body.p + l->body.len, *end = text.p + text.len;

	while (at < end && (*at == ' ' || (*at >= '\t' && *at <= '\r') || *at == ';'))
		at++;
	return l->body.len && at == end;
}

/* Does the comment behind the head change nothing but hints and tags? Of the head alone the same must be said. */
static bool is_the_heads(struct span head, unsigned mode, const struct sql_lexed *lexed, struct span canonical,
			 struct sql_lexed *of_head)
{
	struct iobuf own;
	bool same;

	sql_lex(head, mode, of_head);
	if (!ends_in_the_open(head, of_head) || of_head->has_executable_comment || of_head->digest != lexed->digest ||
	    of_head->literals != lexed->literals || of_head->body.p != lexed->body.p || of_head->body.len != lexed->body.len)
		return false;
	iobuf_init(&own, 0);
	same = sql_canonical(head, mode, &own) == RC_OK && span_eq(span_of(iobuf_data(&own), iobuf_len(&own)), canonical);
	iobuf_reset(&own);
	return same;
}

void known_keep(struct known *k, struct span text, unsigned mode, uint64_t hash, const struct sql_lexed *lexed,
		struct span canonical)
{
	struct known_text **slot = &k->slot[hash % KNOWN_SLOTS], *t;
	struct span head = head_of(text);
	bool goes_on = head.len != text.len;
	struct sql_lexed of_head;

	if (!hash || lexed->broken || (goes_on && !is_the_heads(head, mode, lexed, canonical, &of_head)) ||
	    !may_be_kept(head, goes_on ? &of_head : lexed, canonical))
		return;
	if (*slot && (*slot)->chances && !is_of(*slot, head, mode, hash)) {
		(*slot)->chances--;
		return;
	}
	t = known_new(head, goes_on, mode, hash, goes_on ? &of_head : lexed, canonical);
	if (!t)
		return;
	k->count += *slot == NULL;
	mem_free(*slot);
	*slot = t;
}
