/*
 * words.c - the table of words and the hash over it.
 */
#include "words.h"

#include "facts.h"

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

#define MAX_WORD 40

_Static_assert(SQL_WORDS * 2 < SQL_WORD_SLOTS, "the table of words has become too full");

uint16_t sql_word_slots[SQL_WORD_SLOTS];
vec sql_word_heads[SQL_WORDS];
/* Words of sixteen letters and more are few: chained by length, with one bit a first letter. */
static uint16_t long_first[MAX_WORD + 1], long_next[SQL_WORDS];
static uint32_t long_letters[MAX_WORD + 1];

static inline uint32_t letter_bit(char c)
{
	return UINT32_C(1) << (c & 31);
}

/* Runs before main, so that looking up needs neither lock nor test. */
__attribute__((constructor)) static void fill_slots(void)
{
	for (unsigned w = 1; w < SQL_WORDS; w++) {
		const char *name = sql_words[w].name;
		size_t len = strlen(name);
		uint32_t at;

		if (len >= VEC) {
			long_letters[len] |= letter_bit(*name);
			long_next[w] = long_first[len];
			long_first[len] = (uint16_t)w;
			continue;
		}
		sql_word_heads[w] = vec_load_part(name, len);
		at = sql_word_hash(sql_word_heads[w]);
		while (sql_word_slots[at])
			at = (at + 1) & (SQL_WORD_SLOTS - 1);
		sql_word_slots[at] = (uint16_t)w;
	}
}

enum sql_word sql_word_find_long(const char *p, size_t len)
{
	if (len > MAX_WORD || !(long_letters[len] & letter_bit(*p)))
		return SQL_WORD_NONE;
	for (unsigned w = long_first[len]; w; w = long_next[w])
		if (strncasecmp(p, sql_words[w].name, len) == 0)
			return w;
	return SQL_WORD_NONE;
}
