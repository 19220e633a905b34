/*
 * words.c - the table of words and the hash over it.
 */
#include "words.h"

#include "facts.h"
#include "swar.h"

#define R SQL_WT_RESERVED
#define A SQL_WT_NO_ALIAS
#define F SQL_WT_FUNCTION
#define G SQL_WT_AGGREGATE
#define B SQL_WT_BARE
#define T SQL_WT_TIGHT
#define O SQL_WT_ONE_SERVER
#define C SQL_WT_CHARSET
#define S SQL_WT_STARTS
#define N SQL_WT_BEFORE_NAME
#define L SQL_WT_LISTENS
#define FX_TIME SQL_F_NONDETERMINISTIC /* the statement's own time: replayed with it, the answer is the same */
#define FX_RANDOM (SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE)
#define FX_SESSION (SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE)
#define FX_SERVER (SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE | SQL_F_SERVER_STATE)

const struct sql_word_info sql_words[SQL_WORDS] = {
	{"", 0, 0},
#define W(name, traits, effects) {#name, (traits), (effects)},
#include "words.def"
#undef W
};

#define SLOTS 4096u /* a power of two, about five times the number of words: short probes */
#define MAX_WORD 40

_Static_assert(SQL_WORDS * 2 < SLOTS, "the table of words has become too full");

static uint16_t slots[SLOTS];
/* A word's letters in upper case, eight bytes at a time: the first, and the last when it has more than eight. */
static struct ends {
	uint64_t head, tail;
	uint32_t len;
} ends[SQL_WORDS];

static inline struct ends ends_of(const char *p, size_t len, const char *end)
{
	struct ends e = {.len = (uint32_t)len};

	e.head = swar_upper(swar_load(p, len, end));
	if (len > 8)
		e.tail = swar_upper(swar_load(p + len - 8, 8, end));
	return e;
}

static inline uint32_t hash_of(struct ends e)
{
	uint64_t h = (e.head ^ e.tail << 7) * UINT64_C(0x9e3779b97f4a7c15) + e.len * UINT64_C(0xc2b2ae3d27d4eb4f);

	return (uint32_t)(h >> 52);
}

/* Runs before main, so that looking up needs neither lock nor test. */
__attribute__((constructor)) static void fill_slots(void)
{
	for (unsigned w = 1; w < SQL_WORDS; w++) {
		const char *name = sql_words[w].name;
		size_t len = strlen(name);
		uint32_t at;

		ends[w] = ends_of(name, len, name + len);
		at = hash_of(ends[w]);
		while (slots[at])
			at = (at + 1) & (SLOTS - 1);
		slots[at] = (uint16_t)w;
	}
}

enum sql_word sql_word_find(const char *p, size_t len, const char *end)
{
	struct ends e;

	if (len == 0 || len > MAX_WORD)
		return SQL_WORD_NONE;
	e = ends_of(p, len, end);
	for (uint32_t at = hash_of(e); slots[at]; at = (at + 1) & (SLOTS - 1)) {
		uint16_t w = slots[at];

		if (ends[w].head == e.head && ends[w].tail == e.tail && ends[w].len == e.len &&
		    (len <= 16 || strncasecmp(p + 8, sql_words[w].name + 8, len - 16) == 0))
			return w;
	}
	return SQL_WORD_NONE;
}
