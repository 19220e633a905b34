/*
 * words.h - the words SQL gives a meaning, looked up in constant time.
 */
#ifndef SUIMON_WORDS_H
#define SUIMON_WORDS_H

#include <stdint.h>

#include "span.h"
#include "vec.h"

enum sql_word {
	SQL_WORD_NONE = 0, /* a name like any other */
#define W(name, traits, effects) SQL_W_##name,
#include "words.def"
#undef W
	SQL_WORDS
};

/* Traits: words.def says what each means. */
#define SQL_WT_RESERVED 0x001
#define SQL_WT_NO_ALIAS 0x002
#define SQL_WT_FUNCTION 0x004
#define SQL_WT_AGGREGATE 0x008
#define SQL_WT_BARE 0x010
#define SQL_WT_TIGHT 0x020
#define SQL_WT_ONE_SERVER 0x040
#define SQL_WT_CHARSET 0x080
#define SQL_WT_STARTS 0x100
#define SQL_WT_BEFORE_NAME 0x200
#define SQL_WT_LISTENS 0x400

struct sql_word_info {
	const char *name; /* upper case */
	uint16_t traits;
	uint64_t effects; /* SQL_F_* of calling it as a function */
};
extern const struct sql_word_info sql_words[SQL_WORDS];

/* words.c's: what sql_word_of looks up in. Words of less than sixteen letters by the hash of their letters. */
#define SQL_WORD_SLOTS 4096 /* a power of two, about five times the number of words: short probes */
extern uint16_t sql_word_slots[SQL_WORD_SLOTS];
extern vec sql_word_heads[SQL_WORDS]; /* upper case, zeroes behind them */

static inline uint32_t sql_word_hash(vec upper)
{
	uint64_t half[2];

	memcpy(half, &upper, sizeof half);
	return (uint32_t)((half[0] ^ half[1] << 7) * UINT64_C(0x9e3779b97f4a7c15) >> 52);
}

/* The word of these letters, which are upper case, less than sixteen, and zeroes behind them. */
static inline enum sql_word sql_word_of(vec upper)
{
	for (uint32_t at = sql_word_hash(upper); sql_word_slots[at]; at = (at + 1) & (SQL_WORD_SLOTS - 1))
		if (vec_run((vec)(sql_word_heads[sql_word_slots[at]] == upper)) == VEC)
			return sql_word_slots[at];
	return SQL_WORD_NONE;
}

/* The same for sixteen letters and more, in any letter case. */
enum sql_word sql_word_find_long(const char *p, size_t len);

/* SQL_WORD_NONE when the word has no meaning of its own. Letter case does not matter. */
static inline enum sql_word sql_word_find(const char *p, size_t len)
{
	if (len >= VEC)
		return sql_word_find_long(p, len);
	return len && p[len - 1] ? sql_word_of(vec_upper(vec_load_part(p, len))) : SQL_WORD_NONE;
}

static inline bool sql_word_is(enum sql_word w, unsigned traits)
{
	return (sql_words[w].traits & traits) != 0;
}

#endif
